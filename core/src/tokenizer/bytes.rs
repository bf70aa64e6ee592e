//! The characters that stand for bytes in vocabularies of bytes: printable ones for themselves, the others for characters
//! from U+0100 on (<https://github.com/openai/gpt-2/blob/master/src/encoder.py>, `bytes_to_unicode`).

use std::sync::LazyLock;

/// Character of each byte.
static CHARACTERS: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut characters = ['\0'; 256];
    let mut next = 256;
    for byte in 0..=255_u8 {
        characters[usize::from(byte)] = match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            _ => {
                next += 1;
                char::from_u32(next - 1).unwrap_or_default()
            }
        };
    }
    characters
});

/// Byte of each character below this many.
static BYTES: LazyLock<[Option<u8>; 512]> = LazyLock::new(|| {
    let mut bytes = [None; 512];
    for (byte, character) in (0..=255).zip(CHARACTERS.iter()) {
        bytes[*character as usize] = Some(byte);
    }
    bytes
});

/// The character of a byte.
#[cfg(test)]
pub(super) fn character(byte: u8) -> char {
    CHARACTERS[usize::from(byte)]
}

/// The bytes that a text of such characters stands for; `None` where another character is in it.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let byte = |character| BYTES.get(character as usize).copied().flatten();
    text.chars().map(byte).collect()
}

/// The byte of the name of a piece as sentencepiece has it: `<0x0A>`.
pub(super) fn named(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let hexadecimal = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_character_of_its_own() {
        let text: String = CHARACTERS.iter().collect();
        assert_eq!(decode(&text).unwrap(), (0..=255).collect::<Vec<_>>());
        assert_eq!(decode("Ġa").unwrap(), b" a");
        assert_eq!(decode("Ċ").unwrap(), b"\n");
        assert_eq!(decode(" "), None);
        assert_eq!(named("<0x0A>"), Some(10));
        assert_eq!(named("<0x0A"), None);
        assert_eq!(named("<0x+A>"), None);
    }
}
