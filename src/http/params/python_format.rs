//! Values in Python's spelling, which is the upstream's.

use std::fmt::Write;

/// The shortest text that reads back as the same number. A whole number ends in `.0`; a large or a
/// small one has an exponent with its sign and at least two digits.
pub fn float(value: f64) -> String {
    // Rust and Python agree on the digits, and on when to write an exponent.
    let text = format!("{value:?}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    // Python writes no fraction of zeros before an exponent.
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    format!("{digits}e{sign}{exponent:0>2}")
}

/// Appends a text as `json.dumps` spells it: ASCII only, with no escapes but the necessary ones.
pub fn push_ascii(into: &mut String, text: &str) {
    into.push('"');
    for character in text.chars() {
        match character {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            '\u{8}' => into.push_str("\\b"),
            '\u{c}' => into.push_str("\\f"),
            ' '..='~' => into.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string can't fail.
                    let _ = write!(into, "\\u{unit:04x}");
                }
            }
        }
    }
    into.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_is_written_as_python_writes_it() {
        for (value, text) in [
            (0.0, "0.0"),
            (716_239.0, "716239.0"),
            (716_239.0 / 195.0, "3673.020512820513"),
            (205.0 / 271.0 * 100.0, "75.64575645756457"),
            (0.1 + 0.2, "0.30000000000000004"),
            (-2.5, "-2.5"),
            (0.0001, "0.0001"),
            (0.00005, "5e-05"),
            (0.000_012_5, "1.25e-05"),
            (1e-100, "1e-100"),
            (1e15, "1000000000000000.0"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1e16, "1e+16"),
            (1.5e16, "1.5e+16"),
            (1e22, "1e+22"),
            (i64::MAX as f64, "9.223372036854776e+18"),
        ] {
            assert_eq!(float(value), text);
        }
    }
}
