//! Messages of protocol buffers as lists of fields, to be changed and written again
//! (<https://protobuf.dev/programming-guides/encoding>). Bytes that are not touched stay where they are.

use std::ops::Range;

use super::wire::Result;

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Int(u64),
    Bits32(u32),
    Bits64(u64),
    /// Bytes of the file that is read.
    Inside(Range<usize>),
    /// New bytes.
    New(Vec<u8>),
}

/// Fields by their numbers, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Message {
    pub(super) fields: Vec<(u64, Item)>,
}

impl Message {
    /// The fields that stand in some bytes of a file.
    ///
    /// # Errors
    /// They are damaged.
    pub(super) fn read(file: &[u8], range: Range<usize>) -> Result<Self> {
        let mut at = range.start;
        let bytes = |from: usize, len: usize| -> Result<Range<usize>> {
            let end = from.checked_add(len).filter(|end| *end <= range.end);
            Ok(from..end.ok_or_else(|| format!("a field at byte {from} ends too late"))?)
        };
        let mut fields = Vec::new();
        while at < range.end {
            let tag = varint(file, &mut at, range.end)?;
            let item = match tag & 7 {
                0 => Item::Int(varint(file, &mut at, range.end)?),
                1 => {
                    let own = bytes(at, 8)?;
                    at = own.end;
                    let [a, b, c, d, e, f, g, h] = file[own] else {
                        return Err("a number of 64 bits has others".to_owned());
                    };
                    Item::Bits64(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
                }
                2 => {
                    let len = varint(file, &mut at, range.end)?;
                    let own = bytes(at, usize::try_from(len).unwrap_or(usize::MAX))?;
                    at = own.end;
                    Item::Inside(own)
                }
                5 => {
                    let own = bytes(at, 4)?;
                    at = own.end;
                    let [a, b, c, d] = file[own] else {
                        return Err("a number of 32 bits has others".to_owned());
                    };
                    Item::Bits32(u32::from_le_bytes([a, b, c, d]))
                }
                other => {
                    return Err(format!(
                        "there is no field of wire type {other} (byte {at})"
                    ));
                }
            };
            fields.push((tag >> 3, item));
        }
        Ok(Self { fields })
    }

    /// All of it as bytes.
    pub(super) fn write(&self, file: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, item) in &self.fields {
            let tag = number << 3;
            match item {
                Item::Int(value) => {
                    push(&mut out, tag);
                    push(&mut out, *value);
                }
                Item::Bits64(value) => {
                    push(&mut out, tag | 1);
                    out.extend(value.to_le_bytes());
                }
                Item::Bits32(value) => {
                    push(&mut out, tag | 5);
                    out.extend(value.to_le_bytes());
                }
                Item::Inside(_) | Item::New(_) => {
                    let bytes = item.bytes(file);
                    push(&mut out, tag | 2);
                    push(&mut out, bytes.len() as u64);
                    out.extend(bytes);
                }
            }
        }
        out
    }

    pub(super) fn all(&self, number: u64) -> impl Iterator<Item = &Item> {
        let own = self.fields.iter().filter(move |(own, _)| *own == number);
        own.map(|(_, item)| item)
    }

    pub(super) fn last(&self, number: u64) -> Option<&Item> {
        self.all(number).last()
    }

    /// A text; empty where there is none.
    pub(super) fn text(&self, number: u64, file: &[u8]) -> String {
        let bytes = self.last(number).map_or(&[][..], |item| item.bytes(file));
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// A whole number.
    pub(super) fn int(&self, number: u64) -> Option<i64> {
        match self.last(number) {
            Some(Item::Int(value)) => Some(value.cast_signed()),
            _ => None,
        }
    }

    /// Whole numbers, alone or packed.
    pub(super) fn ints(&self, number: u64, file: &[u8]) -> Result<Vec<i64>> {
        let mut all = Vec::new();
        for item in self.all(number) {
            match item {
                Item::Int(value) => all.push(value.cast_signed()),
                Item::Inside(_) | Item::New(_) => {
                    let bytes = item.bytes(file);
                    let mut at = 0;
                    while at < bytes.len() {
                        all.push(varint(bytes, &mut at, bytes.len())?.cast_signed());
                    }
                }
                _ => return Err("a whole number is none".to_owned()),
            }
        }
        Ok(all)
    }

    pub(super) fn push_text(&mut self, number: u64, text: &str) {
        let bytes = text.as_bytes().to_vec();
        self.fields.push((number, Item::New(bytes)));
    }

    pub(super) fn push_int(&mut self, number: u64, value: i64) {
        self.fields.push((number, Item::Int(value.cast_unsigned())));
    }

    pub(super) fn push_message(&mut self, number: u64, message: &Self, file: &[u8]) {
        self.fields.push((number, Item::New(message.write(file))));
    }

    /// Writes numbers that stand packed one by one: some readers know no others.
    pub(super) fn unpack_ints(&mut self, number: u64, file: &[u8]) -> Result<()> {
        let all = self.ints(number, file)?;
        self.fields.retain(|(own, _)| *own != number);
        for value in all {
            self.push_int(number, value);
        }
        Ok(())
    }

    /// The same for numbers of 32 bits.
    pub(super) fn unpack_words(&mut self, number: u64, file: &[u8]) {
        let mut fields = Vec::with_capacity(self.fields.len());
        for (own, item) in self.fields.drain(..) {
            match &item {
                Item::Inside(_) | Item::New(_) if own == number => {
                    let (words, _) = item.bytes(file).as_chunks::<4>();
                    let words = words.iter().map(|word| u32::from_le_bytes(*word));
                    fields.extend(words.map(|word| (own, Item::Bits32(word))));
                }
                _ => fields.push((own, item)),
            }
        }
        self.fields = fields;
    }
}

impl Message {
    /// The fields of a message inside another, be it of the file or written anew.
    ///
    /// # Errors
    /// They are damaged.
    pub(super) fn of(item: &Item, file: &[u8]) -> Result<Self> {
        match item {
            Item::Inside(range) => Self::read(file, range.clone()),
            Item::New(bytes) => {
                let mut message = Self::read(bytes, 0..bytes.len())?;
                for (_, item) in &mut message.fields {
                    if let Item::Inside(range) = item {
                        *item = Item::New(bytes[range.clone()].to_vec());
                    }
                }
                Ok(message)
            }
            _ => Err("a message is a number".to_owned()),
        }
    }
}

impl Item {
    /// The bytes of a field of bytes; none of a number.
    pub(super) fn bytes<'a>(&'a self, file: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Inside(range) => file.get(range.clone()).unwrap_or(&[]),
            Self::New(bytes) => bytes,
            _ => &[],
        }
    }

    /// A message inside.
    ///
    /// # Errors
    /// It is damaged, or a number.
    pub(super) fn message(&self, file: &[u8]) -> Result<Message> {
        Message::of(self, file)
    }
}

fn varint(file: &[u8], at: &mut usize, end: usize) -> Result<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = file.get(*at).filter(|_| *at < end);
        let byte = *byte.ok_or_else(|| format!("the file ends inside a field (byte {at})"))?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(format!("a number at byte {at} has no end"))
}

fn push(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut inner = Message::default();
        inner.push_text(1, "a name");
        inner.push_int(2, -1);
        let mut message = Message::default();
        message.push_message(7, &inner, &[]);
        message.fields.push((3, Item::Bits32(0x3f80_0000)));
        message.fields.push((4, Item::Bits64(1 << 60)));
        message.push_int(2000, 300);
        let file = message.write(&[]);
        let read = Message::read(&file, 0..file.len()).unwrap();
        assert_eq!(read.write(&file), file);
        assert_eq!(read.int(2000), Some(300));
        let again = read.last(7).unwrap().message(&file).unwrap();
        assert_eq!(again.text(1, &file), "a name");
        assert_eq!(again.int(2), Some(-1));
        // What ends early is an error, or reads as fewer fields.
        for end in 0..file.len() {
            if let Ok(part) = Message::read(&file[..end], 0..end) {
                assert!(part.fields.len() < read.fields.len());
            }
        }
    }

    #[test]
    fn packed_numbers_stand_alone_afterwards() {
        let mut packed = Vec::new();
        for value in [3_i64, -7, 1 << 40] {
            push(&mut packed, value.cast_unsigned());
        }
        let mut message = Message::default();
        message.fields.push((1, Item::New(packed)));
        message.push_int(1, 9);
        let words = [1.5_f32, -2.0].map(f32::to_le_bytes).concat();
        message.fields.push((2, Item::New(words)));
        message.unpack_ints(1, &[]).unwrap();
        message.unpack_words(2, &[]);
        assert_eq!(message.ints(1, &[]).unwrap(), [3, -7, 1 << 40, 9]);
        assert_eq!(message.all(1).count(), 4);
        let word = |value: f32| Item::Bits32(value.to_bits());
        let words: Vec<Item> = message.all(2).cloned().collect();
        assert_eq!(words, [word(1.5), word(-2.0)]);
    }
}
