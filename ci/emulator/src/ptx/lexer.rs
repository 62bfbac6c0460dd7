//! Words, numbers and signs of PTX text. PTX ISA 4.1 to 4.5.

/// One token, with the line it stands on.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// An identifier, directive or opcode with its dots: `%r1`, `.reg`, `ld.global.u32`, `shared::cta`.
    Word(String),
    Int(i128),
    F32(u32),
    F64(f64),
    Text(String),
    Sign(char),
}

/// Splits text into tokens.
pub fn tokens(text: &str) -> Result<Vec<(Token, u32)>, String> {
    let bytes = text.as_bytes();
    let (mut at, mut line, mut out) = (0, 1, Vec::new());
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'\n' => {
                line += 1;
                at += 1;
            }
            b' ' | b'\t' | b'\r' | 0x0c => at += 1,
            b'/' if bytes.get(at + 1) == Some(&b'/') => at += length(&bytes[at..], |byte| byte != b'\n'),
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let rest = &text[at..];
                let end = rest.find("*/").ok_or_else(|| format!("line {line}: comment without end"))? + 2;
                line += rest[..end].matches('\n').count() as u32;
                at += end;
            }
            b'"' => {
                let rest = &text[at + 1..];
                let end = rest.find('"').ok_or_else(|| format!("line {line}: text without end"))?;
                out.push((Token::Text(rest[..end].to_owned()), line));
                at += end + 2;
            }
            b'0'..=b'9' => {
                let (token, used) = number(&text[at..]).map_err(|why| format!("line {line}: {why}"))?;
                out.push((token, line));
                at += used;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | b'%' | b'.' => {
                let used = word(&bytes[at..]);
                out.push((Token::Word(text[at..at + used].to_owned()), line));
                at += used;
            }
            _ if byte.is_ascii_graphic() => {
                out.push((Token::Sign(byte as char), line));
                at += 1;
            }
            _ => return Err(format!("line {line}: unexpected byte {byte:#04x}")),
        }
    }
    Ok(out)
}

fn length(bytes: &[u8], accept: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| accept(**byte)).count()
}

/// The length of a word; a double colon belongs to it, a single one (a label's) does not.
fn word(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.' | b'%') {
            at += 1;
        } else if byte == b':' && bytes.get(at + 1) == Some(&b':') {
            at += 2;
        } else {
            break;
        }
    }
    at
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let bytes = text.as_bytes();
    let bad = |_| format!("no number: {}", &text[..text.len().min(20)]);
    if bytes[0] == b'0' {
        let hex = |from: usize| length(&bytes[from..], |byte| byte.is_ascii_hexdigit());
        match bytes.get(1) {
            Some(b'f' | b'F') => {
                let bits = u32::from_str_radix(&text[2..2 + hex(2)], 16).map_err(bad)?;
                return Ok((Token::F32(bits), 2 + hex(2)));
            }
            Some(b'd' | b'D') => {
                let bits = u64::from_str_radix(&text[2..2 + hex(2)], 16).map_err(bad)?;
                return Ok((Token::F64(f64::from_bits(bits)), 2 + hex(2)));
            }
            Some(b'x' | b'X') => {
                let value = i128::from_str_radix(&text[2..2 + hex(2)], 16).map_err(bad)?;
                return Ok((Token::Int(value), suffix(bytes, 2 + hex(2))));
            }
            Some(b'b' | b'B') => {
                let digits = length(&bytes[2..], |byte| matches!(byte, b'0' | b'1'));
                let value = i128::from_str_radix(&text[2..2 + digits], 2).map_err(bad)?;
                return Ok((Token::Int(value), suffix(bytes, 2 + digits)));
            }
            Some(b'0'..=b'7') => {
                let digits = length(bytes, |byte| matches!(byte, b'0'..=b'7'));
                let value = i128::from_str_radix(&text[..digits], 8).map_err(bad)?;
                return Ok((Token::Int(value), suffix(bytes, digits)));
            }
            _ => {}
        }
    }
    let whole = length(bytes, |byte| byte.is_ascii_digit());
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') {
        end += 1 + length(&bytes[end + 1..], |byte| byte.is_ascii_digit());
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end += 1 + sign + length(&bytes[end + 1 + sign..], |byte| byte.is_ascii_digit());
    }
    if end > whole {
        let value: f64 = text[..end].parse().map_err(|_| format!("no number: {}", &text[..end]))?;
        return Ok((Token::F64(value), end));
    }
    Ok((Token::Int(text[..whole].parse().map_err(bad)?), suffix(bytes, whole)))
}

/// Skips the `U` of an unsigned literal.
fn suffix(bytes: &[u8], end: usize) -> usize {
    end + usize::from(bytes.get(end) == Some(&b'U'))
}
