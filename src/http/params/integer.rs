//! An integer in a text, as pydantic accepts it: white space around it, one sign, leading zeros,
//! single underscores between digits, a fraction of zeros only.

/// A `call_id` that is a number.
#[derive(Debug, PartialEq, Eq)]
pub enum CallId {
    Possible(i64),
    /// Not positive, or beyond the upstream's database: no call has it. Spelled as the upstream
    /// writes it back.
    Impossible(String),
}

/// Why a text is no integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidInteger {
    Malformed,
    /// More characters than Python converts.
    TooLong,
    /// Less than this.
    Below(i64),
    /// More than this.
    Above(i64),
}

/// The longest integer that Python converts from text, sign included.
const MOST_CHARACTERS: usize = 4300;

/// Reads the `{call_id}` of a path.
pub fn call_id(text: &str) -> Result<CallId, InvalidInteger> {
    match plain(text) {
        Err(InvalidInteger::Malformed) => cleaned(text)
            .and_then(|text| plain(&text).ok())
            .ok_or(InvalidInteger::Malformed),
        read => read,
    }
}

/// Reads an integer of any size. One that does not fit becomes the nearest that does.
pub fn integer(text: &str) -> Result<i64, InvalidInteger> {
    Ok(match call_id(text)? {
        CallId::Possible(number) => number,
        CallId::Impossible(digits) => digits.parse().unwrap_or(match digits.starts_with('-') {
            true => i64::MIN,
            false => i64::MAX,
        }),
    })
}

/// Reads an integer that is not negative. One that does not fit becomes the largest.
pub fn natural(text: &str) -> Result<u64, InvalidInteger> {
    match call_id(text)? {
        CallId::Possible(number) => Ok(number.unsigned_abs()),
        CallId::Impossible(digits) if digits.starts_with('-') => Err(InvalidInteger::Below(0)),
        CallId::Impossible(digits) => Ok(digits.parse().unwrap_or(u64::MAX)),
    }
}

/// Reads an integer of a query, from `least`, which is not negative, to `most`.
pub fn within(text: &str, least: i64, most: i64) -> Result<i64, InvalidInteger> {
    match integer(text)? {
        number if number < least => Err(InvalidInteger::Below(least)),
        number if number > most => Err(InvalidInteger::Above(most)),
        number => Ok(number),
    }
}

/// Reads an integer as JSON spells it.
fn plain(text: &str) -> Result<CallId, InvalidInteger> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let sign = text.len() - digits.len();
    let run = digits.bytes().take_while(u8::is_ascii_digit).count();
    match digits.as_bytes() {
        [b'1'..=b'9', ..] if sign + run > MOST_CHARACTERS => Err(InvalidInteger::TooLong),
        [b'0'] => Ok(CallId::Impossible("0".to_owned())),
        [b'1'..=b'9', ..] if run == digits.len() => Ok(match text.parse() {
            Ok(id) if sign == 0 => CallId::Possible(id),
            _ => CallId::Impossible(text.to_owned()),
        }),
        _ => Err(InvalidInteger::Malformed),
    }
}

/// Strips what Python allows in an integer and JSON does not. The result may still be invalid.
fn cleaned(text: &str) -> Option<String> {
    let text = text.trim();
    let (signed, text) = match text.strip_prefix('+') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    if signed && negative || text.starts_with(['+', '-']) {
        return None;
    }
    let text = without_leading_zeros(text)?;
    let text = match text.split_once('.') {
        Some((whole, fraction)) if is_zeros(fraction) => whole,
        _ => text,
    };
    let grouped = !text.starts_with('_') && !text.ends_with('_') && !text.contains("__");
    let digits = if grouped {
        text.replace('_', "")
    } else {
        text.to_owned()
    };
    Some(if negative {
        format!("-{digits}")
    } else {
        digits
    })
}

fn is_zeros(fraction: &str) -> bool {
    !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0')
}

/// Between leading zeros, pydantic accepts any underscores, and after them a minus as the sign. One
/// zero stays if nothing else is before the end or the fraction.
fn without_leading_zeros(text: &str) -> Option<&str> {
    if !text.starts_with('0') {
        return text
            .starts_with(|c: char| c.is_ascii_digit())
            .then_some(text);
    }
    match text.find(|c| !matches!(c, '0' | '_')) {
        None => text.get(text.len() - 1..),
        Some(end) => match text.as_bytes()[end] {
            b'1'..=b'9' | b'-' => text.get(end..),
            b'.' => text.get(end - 1..),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    fn a_number_is_read_as_pydantic_reads_it(
        #[values(
            ("5", "5"), ("005", "5"), ("+5", "5"), ("+005", "5"), ("1.0", "1"), ("1.00", "1"),
            (" 5 ", "5"), ("\t5\n", "5"), ("\u{a0}5", "5"), ("\u{2003}5", "5"), ("\u{b}5", "5"),
            ("\u{85}5", "5"), ("1_000", "1000"), ("1_000.0", "1000"), ("0_5", "5"), ("0__5", "5"),
            ("+0_5", "5"), ("9223372036854775807", "9223372036854775807"),
        )]
        row: (&str, &str),
    ) {
        let id = row.1.parse().unwrap();
        assert_eq!(call_id(row.0), Ok(CallId::Possible(id)), "{:?}", row.0);
    }

    #[rstest]
    fn an_id_no_call_can_have_is_written_back_in_pythons_spelling(
        #[values(
            ("0", "0"), ("0.0", "0"), ("00", "0"), ("+0", "0"), ("-0", "0"), (" -0", "0"),
            ("-0.0", "0"), ("-00", "0"), ("-0_0.0", "0"), ("00.0", "0"), ("0_0.0", "0"),
            ("-0_0", "0"), ("-1", "-1"), ("-005", "-5"), ("-1.0", "-1"), ("-1_0", "-10"),
            ("0-5", "-5"), ("00-5", "-5"), ("0_-5", "-5"),
            ("9223372036854775808", "9223372036854775808"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("0099999999999999999999", "99999999999999999999"),
            ("-0099999999999999999999", "-99999999999999999999"),
            ("+99999999999999999999", "99999999999999999999"),
            ("99999999999999999999.000", "99999999999999999999"),
            ("1_00000000000000000000", "100000000000000000000"),
        )]
        row: (&str, &str),
    ) {
        let id = CallId::Impossible(row.1.to_owned());
        assert_eq!(call_id(row.0), Ok(id), "{:?}", row.0);
    }

    #[rstest]
    fn what_pydantic_refuses_is_refused(
        #[values(
            "",
            "  ",
            "+",
            "-",
            "abc",
            "1.5",
            "1.",
            ".0",
            "-.0",
            "0.",
            "1.0.0",
            "1.0_0",
            "1,0",
            "_1",
            "1_",
            "1__0",
            "0_",
            "00_",
            "-_5",
            "5_.0",
            "+-5",
            "-+5",
            "--5",
            "++5",
            "+ 5",
            "- 5",
            "5 5",
            "-0-5",
            "0x10",
            "1e3",
            "\u{665}",
            "\u{ff15}",
            "\u{200b}5",
            "\u{feff}5",
            "\u{1c}5",
            "\u{1f}5"
        )]
        text: &str,
    ) {
        assert_eq!(call_id(text), Err(InvalidInteger::Malformed), "{text:?}");
    }

    #[rstest]
    #[case("0", Ok(0))]
    #[case("-0", Ok(0))]
    #[case("+10.0", Ok(10))]
    #[case("-1", Err(InvalidInteger::Below(0)))]
    #[case("-99999999999999999999", Err(InvalidInteger::Below(0)))]
    #[case("11", Err(InvalidInteger::Above(10)))]
    #[case("99999999999999999999", Err(InvalidInteger::Above(10)))]
    #[case("1.5", Err(InvalidInteger::Malformed))]
    #[case("", Err(InvalidInteger::Malformed))]
    fn a_number_with_bounds_is_told_which_it_breaks(
        #[case] text: &str,
        #[case] read: Result<i64, InvalidInteger>,
    ) {
        assert_eq!(within(text, 0, 10), read, "{text:?}");
    }

    #[test]
    fn only_digits_that_pydantic_would_have_to_convert_count_as_too_long() {
        let ones = |count| "1".repeat(count);
        let read = |text: String| match call_id(&text) {
            Ok(CallId::Impossible(digits)) => Ok(digits.len()),
            Ok(CallId::Possible(_)) => panic!("{text} is too long to be an id"),
            Err(invalid) => Err(invalid),
        };
        assert_eq!(read(ones(4300)), Ok(4300));
        assert_eq!(read(format!("+{}", ones(4300))), Ok(4300));
        assert_eq!(read(format!("{}.0", ones(4300))), Ok(4300));
        assert_eq!(read("0".repeat(4301)), Ok(1));
        for text in [ones(4301), ones(4301) + "x", format!("-{}", ones(4300))] {
            assert_eq!(read(text), Err(InvalidInteger::TooLong));
        }
        let cleaned = format!(" {}", ones(4301));
        assert_eq!(read(cleaned), Err(InvalidInteger::Malformed));
    }
}
