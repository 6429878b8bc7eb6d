//! Texts as Python writes them: floats, rows of CSV, indented JSON.

use std::fmt::Write;

/// `repr` of a float: the shortest digits that identify it, with an exponent below 0.0001 and from
/// 1e16 on.
pub(super) fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        // No figure here is infinite.
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{value:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// Appends a row as `csv.writer` does: quotes only if they are needed, CRLF at the end.
pub(super) fn push_row<'a>(out: &mut String, fields: impl IntoIterator<Item = &'a str>) {
    for (index, field) in fields.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        if field.contains([',', '"', '\r', '\n']) {
            out.push('"');
            out.push_str(&field.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(field);
        }
    }
    out.push_str("\r\n");
}

/// `json.dumps` of a text: ASCII alone, with surrogate pairs beyond the first plane.
pub(super) fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(letter),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // Writing to a String can't fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
    out
}

/// `json.dumps(…, indent=2)` of an object that is `depth` levels down, from the texts of its
/// values.
pub(super) fn object(depth: usize, members: &[(&str, String)]) -> String {
    let members = members
        .iter()
        .map(|(key, value)| format!("\"{key}\": {value}"));
    block(depth, '{', members.collect(), '}')
}

/// `json.dumps(…, indent=2)` of a list that is `depth` levels down.
pub(super) fn list(depth: usize, elements: Vec<String>) -> String {
    block(depth, '[', elements, ']')
}

fn block(depth: usize, open: char, parts: Vec<String>, close: char) -> String {
    if parts.is_empty() {
        return format!("{open}{close}");
    }
    let outer = "  ".repeat(depth);
    let parts = parts.join(&format!(",\n{outer}  "));
    format!("{open}\n{outer}  {parts}\n{outer}{close}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_python_s_repr() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (716_239.0, "716239.0"),
            (716_239.0 / 195.0, "3673.020512820513"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.000_012_5, "1.25e-05"),
            (1e15, "1000000000000000.0"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn a_field_is_quoted_only_where_it_has_to_be() {
        let mut out = String::new();
        push_row(&mut out, ["a b", "", "1,2", "\"", "x\ny", "'; é"]);
        assert_eq!(out, "a b,,\"1,2\",\"\"\"\",\"x\ny\",'; é\r\n");
    }

    #[test]
    fn json_is_ascii_and_indented() {
        assert_eq!(
            ascii("é\u{7f}\u{1}🇩\"\\/\n"),
            "\"\\u00e9\\u007f\\u0001\\ud83c\\udde9\\\"\\\\/\\n\""
        );
        let inner = object(1, &[("a", "1".to_owned()), ("b", list(2, Vec::new()))]);
        assert_eq!(
            list(0, vec![inner, "2".to_owned()]),
            "[\n  {\n    \"a\": 1,\n    \"b\": []\n  },\n  2\n]"
        );
    }
}
