//! A reader of Python's pickles (<https://docs.python.org/3/library/pickletools.html>) that executes nothing: a machine with
//! a stack, whose values are numbers, texts, containers and views of storages. A pickle that makes anything else is refused
//! by the name of its class.
//!
//! Values lie in one list and know each other by their place in it, so that neither depth nor cycles cost a stack, and
//! every value costs bytes of the file.

use std::collections::HashMap;

use super::super::place::Place;
use super::bytes::Bytes;
use super::classes::{self, Class};
use crate::number::StoredFormat;

/// The most values of one, and places that it remembers; a tensor takes some thirty.
const MOST_VALUES: usize = 8 << 20;

pub(super) type Result<T> = std::result::Result<T, String>;

/// Where a value lies.
pub(super) type Id = u32;

/// A storage as a pickle names it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    /// Its name in the file.
    pub(super) key: String,
    /// `None` where elements are bytes.
    pub(super) format: Option<StoredFormat>,
    /// Elements before the first of it, where it is a part of another.
    pub(super) offset: u64,
    /// Elements of the storage that it is, or is a part of.
    pub(super) elements: u64,
}

/// A tensor: a view of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) stored: Stored,
    pub(super) format: StoredFormat,
    /// Elements before its first one.
    pub(super) offset: u64,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<u64>,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    None,
    Int(i64),
    /// An integer of more bytes than eight, lowest first.
    Long(Vec<u8>),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Class(Class),
    Storage(Box<Stored>),
    Tensor(Box<Tensor>),
    /// An object of TorchScript and its attributes.
    Object(Option<Id>),
    /// Something that is neither needed nor does any harm.
    Idle,
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) values: Vec<Value>,
    pub(super) root: Id,
    /// The byte behind it.
    pub(super) end: u64,
}

impl Read {
    pub(super) fn get(&self, id: Id) -> &Value {
        self.values.get(id as usize).unwrap_or(&Value::Idle)
    }
}

/// Reads the pickle that begins at `start` of a file and ends before `end`.
pub(super) fn read(place: &Place, start: u64, end: u64) -> Result<Read> {
    let mut machine = Machine {
        bytes: Bytes::new(place, start, end),
        values: vec![Value::None],
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        copied: 0,
    };
    let root = machine.run()?;
    Ok(Read {
        end: machine.bytes.at,
        values: machine.values,
        root,
    })
}

pub(super) struct Machine<'a> {
    bytes: Bytes<'a>,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// Pairs that were copied from lists to dictionaries.
    copied: usize,
}

pub(super) fn damaged(what: &str) -> String {
    format!("the pickle is damaged ({what})")
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id> {
        loop {
            let code = self.bytes.byte()?;
            if code == b'.' {
                return self.pop();
            }
            self.step(code)?;
            if self.values.len().max(self.memo.len()) + self.copied > MOST_VALUES {
                return Err(format!(
                    "the pickle has more than {MOST_VALUES} values, which are not read"
                ));
            }
        }
    }

    fn push(&mut self, value: Value) {
        // A value takes a byte of the pickle at least, of which there are fewer than 2^32.
        let id = self.values.len() as Id;
        self.values.push(value);
        self.stack.push(id);
    }

    fn pop(&mut self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(damaged("a value is missing"));
        }
        self.stack
            .pop()
            .ok_or_else(|| damaged("a value is missing"))
    }

    fn top(&self) -> Result<Id> {
        self.stack
            .last()
            .copied()
            .ok_or_else(|| damaged("a value is missing"))
    }

    /// The values above the last mark, which goes.
    fn above(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| damaged("no mark"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn tuple(&mut self, length: usize) -> Result<()> {
        let mut items = (0..length)
            .map(|_| self.pop())
            .collect::<Result<Vec<Id>>>()?;
        items.reverse();
        self.push(Value::Tuple(items));
        Ok(())
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        self.values.get(id as usize).unwrap_or(&Value::Idle)
    }

    fn step(&mut self, code: u8) -> Result<()> {
        match code {
            // Versions and frames say nothing of the values.
            0x80 => {
                let version = self.bytes.byte()?;
                if version > 5 {
                    return Err(damaged(&format!("protocol {version}")));
                }
            }
            0x95 => drop(self.bytes.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.above()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Int(1)),
            0x89 => self.push(Value::Int(0)),
            b'I' | b'L' | b'J' | b'K' | b'M' | 0x8a | 0x8b => {
                let number = self.number(code)?;
                self.push(number);
            }
            b'F' => {
                self.bytes.line()?;
                self.push(Value::Idle);
            }
            b'G' => {
                self.bytes.take(8)?;
                self.push(Value::Idle);
            }
            b'S' | b'V' | b'T' | b'U' | b'X' | 0x8c | 0x8d => {
                let text = self.text(code)?;
                self.push(Value::Text(text));
            }
            b'B' | b'C' | 0x8e | 0x96 => {
                let length = match code {
                    b'B' => self.bytes.u32()?,
                    b'C' => self.bytes.byte()?.into(),
                    _ => u64::from_le_bytes(self.bytes.array()?),
                };
                self.bytes.take(length)?;
                self.push(Value::Idle);
            }
            b'p' | b'q' | b'r' | 0x94 => self.memorise(code)?,
            b'g' | b'h' | b'j' => {
                let place = match code {
                    b'g' => line_number(&self.bytes.line()?)?,
                    b'h' => self.bytes.byte()?.into(),
                    _ => self.bytes.u32()?,
                };
                let id = self.memo.get(&place).copied();
                self.stack
                    .push(id.ok_or_else(|| damaged("nothing is remembered there"))?);
            }
            _ => return self.make(code),
        }
        Ok(())
    }

    fn number(&mut self, code: u8) -> Result<Value> {
        let bytes = match code {
            b'J' => return Ok(Value::Int(i32::from_le_bytes(self.bytes.array()?).into())),
            b'K' => return Ok(Value::Int(self.bytes.byte()?.into())),
            b'M' => return Ok(Value::Int(u16::from_le_bytes(self.bytes.array()?).into())),
            b'I' | b'L' => {
                let line = self.bytes.line()?;
                let number = line.trim_end_matches('L').parse();
                return Ok(number.map_or(Value::Idle, Value::Int));
            }
            0x8a => {
                let length = self.bytes.byte()?;
                self.bytes.take(length.into())?
            }
            _ => {
                let length = self.bytes.u32()?;
                self.bytes.take(length)?
            }
        };
        if bytes.len() > 8 {
            return Ok(Value::Long(bytes.to_vec()));
        }
        // Two's complement, lowest bytes first.
        let sign = bytes.last().is_some_and(|byte| *byte >= 0x80);
        let mut whole = [if sign { 0xff } else { 0 }; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(whole)))
    }

    fn text(&mut self, code: u8) -> Result<String> {
        let length = match code {
            b'S' => {
                let line = self.bytes.line()?;
                let inner = line
                    .get(1..line.len().saturating_sub(1))
                    .unwrap_or_default();
                return Ok(inner.to_owned());
            }
            b'V' => return self.bytes.line(),
            b'T' | b'X' => self.bytes.u32()?,
            b'U' | 0x8c => self.bytes.byte()?.into(),
            _ => u64::from_le_bytes(self.bytes.array()?),
        };
        self.bytes.text(length)
    }

    fn memorise(&mut self, code: u8) -> Result<()> {
        let place = match code {
            b'p' => line_number(&self.bytes.line()?)?,
            b'q' => self.bytes.byte()?.into(),
            b'r' => self.bytes.u32()?,
            _ => self.memo.len() as u64,
        };
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    /// Containers, classes and what is made with them.
    fn make(&mut self, code: u8) -> Result<()> {
        match code {
            b']' => self.push(Value::List(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            0x8f => self.push(Value::Idle),
            b'l' | b't' => {
                let items = self.above()?;
                self.push(match code {
                    b'l' => Value::List(items),
                    _ => Value::Tuple(items),
                });
            }
            0x85..=0x87 => self.tuple(usize::from(code - 0x84))?,
            b'd' => {
                let items = self.above()?;
                self.push(Value::Dict(pairs(&items)?));
            }
            0x90 => drop(self.above()?),
            0x91 => {
                self.above()?;
                self.push(Value::Idle);
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.above()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![(key, value)])?;
            }
            b'u' => {
                let items = self.above()?;
                self.set(pairs(&items)?)?;
            }
            b'c' => {
                let (module, name) = (self.bytes.line()?, self.bytes.line()?);
                self.push(Value::Class(classes::class(&module, &name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (self.get(module), self.get(name))
                else {
                    return Err(damaged("a class has no name"));
                };
                let class = classes::class(module, name)?;
                self.push(Value::Class(class));
            }
            b'Q' => {
                let id = self.pop()?;
                let stored = self.storage(id)?;
                self.push(Value::Storage(Box::new(stored)));
            }
            b'R' | 0x81 => {
                let (arguments, class) = (self.pop()?, self.pop()?);
                self.call(class, arguments)?;
            }
            0x92 => {
                let (_, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(class, arguments)?;
            }
            b'b' => {
                let (state, object) = (self.pop()?, self.top()?);
                if let Some(Value::Object(attributes)) = self.values.get_mut(object as usize) {
                    *attributes = Some(state);
                }
            }
            other => {
                return Err(format!(
                    "the pickle has the instruction {other:#04x}, which is not read"
                ));
            }
        }
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let top = self.top()?;
        match self.values.get_mut(top as usize) {
            Some(Value::List(list)) => list.extend(items),
            Some(Value::Idle) => {}
            _ => return Err(damaged("something is appended to what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, items: Vec<(Id, Id)>) -> Result<()> {
        let top = self.top()?;
        match self.values.get_mut(top as usize) {
            Some(Value::Dict(dictionary)) => dictionary.extend(items),
            Some(Value::Idle) => {}
            _ => return Err(damaged("a key is set in what is no dictionary")),
        }
        Ok(())
    }

    /// Pushes what a class makes of arguments.
    fn call(&mut self, class: Id, arguments: Id) -> Result<()> {
        let class = match self.get(class) {
            Value::Class(class) => *class,
            Value::Idle => Class::Idle,
            _ => return Err(damaged("what is no class is called")),
        };
        let Value::Tuple(items) = self.get(arguments) else {
            return Err(damaged("the arguments of a class are no tuple"));
        };
        let first = items.first().copied();
        let made = match class {
            Class::Dictionary => match first.map(|first| (first, self.get(first))) {
                Some((_, Value::List(list))) => Value::Dict(self.couples(list)?),
                Some((first, Value::Dict(_))) => return self.again(first),
                _ => Value::Dict(Vec::new()),
            },
            Class::Pass => match first {
                Some(first) => return self.again(first),
                None => Value::Tuple(Vec::new()),
            },
            Class::View => Value::Tensor(Box::new(self.view(items, false)?)),
            Class::TypedView => Value::Tensor(Box::new(self.view(items, true)?)),
            // The function, the class, its arguments, the attributes.
            Class::OfType => match (first.map(|id| self.get(id)), items.get(2)) {
                (Some(Value::Class(made @ (Class::View | Class::TypedView))), Some(inner)) => {
                    let Value::Tuple(items) = self.get(*inner) else {
                        return Err(damaged("the arguments of a tensor are no tuple"));
                    };
                    Value::Tensor(Box::new(self.view(items, *made == Class::TypedView)?))
                }
                _ => return Err(damaged("a tensor of another class is made without one")),
            },
            Class::Script => Value::Object(None),
            Class::Idle | Class::Storage(_) | Class::Format(_) => Value::Idle,
        };
        if let Value::Dict(pairs) = &made {
            self.copied += pairs.len();
        }
        self.push(made);
        Ok(())
    }

    /// Pushes a value that is there already.
    fn again(&mut self, id: Id) -> Result<()> {
        self.stack.push(id);
        Ok(())
    }

    /// The pairs of a list of pairs.
    fn couples(&self, list: &[Id]) -> Result<Vec<(Id, Id)>> {
        list.iter()
            .map(|item| match self.get(*item) {
                Value::Tuple(pair) | Value::List(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
                _ => Err(damaged("a dictionary is made of what are no pairs")),
            })
            .collect()
    }
}

fn line_number(line: &str) -> Result<u64> {
    line.parse().map_err(|_| damaged("a place is no number"))
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    match rest.is_empty() {
        true => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
        false => Err(damaged("a key has no value")),
    }
}
