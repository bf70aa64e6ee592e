//! GGUF, the format of llama.cpp: one file, or several of which each has a part of the tensors.

use super::opened::Opened;
use super::place::Place;
use super::{header, split};
use crate::error::Result;

/// Whether a file begins as a GGUF does.
pub(super) fn is_gguf(place: &Place) -> Result<bool> {
    Ok(place.length >= 4 && place.read(0, 4)? == *b"GGUF")
}

/// Opens a GGUF with the other parts of it, where it is split.
pub(super) fn open(place: Place) -> Result<Opened> {
    let header = header::read(&place)?;
    let Some(split) = split::of(&place, &header.metadata)? else {
        return Opened::new(vec![(place, header)]);
    };
    let mut parts = Vec::with_capacity(split.count.min(64));
    let (own, mut first) = (split.number, Some((place, header)));
    for number in 0..split.count {
        let part = match first.take_if(|_| number == own) {
            Some(part) => part,
            None => {
                let place = Place::open(&split.path(number))?;
                let header = header::read(&place)?;
                split.check(&place, &header.metadata, number)?;
                (place, header)
            }
        };
        parts.push(part);
    }
    split.check_tensors(&parts)?;
    Opened::new(parts)
}

/// Opens a GGUF that must be whole.
pub(super) fn open_alone(place: Place) -> Result<Opened> {
    let header = header::read(&place)?;
    if split::of(&place, &header.metadata)?.is_some() {
        return Err(
            place.wrong("this is a part of a split GGUF, and the other parts are not at hand")
        );
    }
    Opened::new(vec![(place, header)])
}
