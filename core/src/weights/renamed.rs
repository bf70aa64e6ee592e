//! Weights under other names than those in their file, and in another form.

mod grouping;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use grouping::Grouping;

use super::{Metadata, Source, StoredFormat, TensorInfo};
use crate::error::{Error, Result};

/// Elements of two tensors that are compared at a time.
const AT_ONCE: usize = 1 << 18;

/// The tensors of another source under other names, without some of them and with some beside them.
pub struct Renamed {
    source: Box<dyn Source>,
    tensors: Vec<TensorInfo>,
    /// For each tensor where it is from.
    origins: Vec<Origin>,
    places: HashMap<String, usize>,
    /// The tensor that was turned last, to be asked for by rows.
    turned: Mutex<Option<(usize, Arc<Vec<f32>>)>>,
}

/// What a tensor of a file is called and what is changed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renaming {
    pub(crate) name: String,
    pub(crate) change: Change,
    /// Which of several it is whose rows lie below each other.
    pub(crate) part: Option<u32>,
}

impl From<String> for Renaming {
    fn from(name: String) -> Self {
        Self {
            name,
            change: Change::None,
            part: None,
        }
    }
}

/// What is changed in a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// One is added to every number.
    PlusOne,
    /// Rows become columns.
    Turned,
    /// All dimensions become one.
    Flat,
    /// Rows of one projection to queries, keys and values, which lie by heads of keys, lie by these three.
    Grouped(Grouping),
}

/// A tensor of the source, and where it is in those under new names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Which of the source.
    source: usize,
    /// Which under a new name.
    pub(super) tensor: usize,
    pub(super) change: Change,
    /// The row there that its first one is.
    pub(super) first: usize,
}

enum Origin {
    /// A tensor of the source.
    Source(usize, Change),
    /// Tensors of the source whose rows lie below each other, as many of each.
    Stacked(Vec<usize>),
    /// These values.
    Values(Vec<f32>),
}

impl Origin {
    /// The first tensor of the source.
    fn first(&self) -> Option<usize> {
        match self {
            Self::Source(at, _) => Some(*at),
            Self::Stacked(all) => all.first().copied(),
            Self::Values(_) => None,
        }
    }
}

impl fmt::Debug for Renamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renamed")
            .field("source", &self.source)
            .field("tensors", &self.tensors)
            .finish_non_exhaustive()
    }
}

fn outside(rows: Range<usize>, all: usize) -> Error {
    let Range { start, end } = rows;
    Error::Compute(format!(
        "rows {start} to {end} of a tensor that has {all} are asked for, or in too few places"
    ))
}

/// A tensor of others of one shape below each other, from number 0 on.
fn stack(
    name: &str,
    parts: &BTreeMap<u32, usize>,
    infos: &[TensorInfo],
) -> std::result::Result<TensorInfo, String> {
    let mut all: Option<TensorInfo> = None;
    for (wanted, (number, at)) in parts.iter().enumerate() {
        let info = &infos[*at];
        if *number as usize != wanted {
            return Err(format!(
                "tensor '{}' is number {number} of its kind, and number {wanted} is missing",
                info.name
            ));
        }
        let Some(whole) = &mut all else {
            all = Some(TensorInfo {
                name: name.to_owned(),
                ..info.clone()
            });
            continue;
        };
        let first = &infos[parts[&0]];
        if info.shape.len() > 2 || info.shape != first.shape || info.format != first.format {
            return Err(format!(
                "tensors '{}' and '{}' have shapes {:?} and {:?} in formats {} and {}, and must be alike",
                first.name,
                info.name,
                first.shape,
                info.shape,
                first.format.name(),
                info.format.name()
            ));
        }
        whole.shape[0] = whole.shape[0].saturating_add(info.shape[0]);
        whole.bytes += info.bytes;
    }
    all.ok_or_else(|| format!("tensor '{name}' has no parts"))
}

impl Renamed {
    /// Names every tensor anew; those without a name are left out.
    ///
    /// # Errors
    /// The two tensors that would have one name.
    pub(crate) fn new<N: Into<Renaming>>(
        source: Box<dyn Source>,
        name: impl Fn(&str) -> Option<N>,
    ) -> std::result::Result<Self, String> {
        let mut all = Self {
            tensors: Vec::new(),
            origins: Vec::new(),
            places: HashMap::new(),
            turned: Mutex::new(None),
            source,
        };
        let same = |one: &str, other: &str| {
            format!("tensors '{one}' and '{other}' are the same part of the network")
        };
        let mut parts: BTreeMap<String, BTreeMap<u32, usize>> = BTreeMap::new();
        let infos = all.source.tensors();
        for (i, info) in infos.iter().enumerate() {
            let Some(new) = name(&info.name).map(N::into) else {
                continue;
            };
            if let Some(part) = new.part {
                if let Some(first) = parts.entry(new.name).or_default().insert(part, i) {
                    return Err(same(&infos[first].name, &info.name));
                }
                continue;
            }
            let place = all.tensors.len();
            if let Some(at) = all.places.insert(new.name.clone(), place) {
                let first = all.origins.get(at).and_then(Origin::first);
                return Err(same(
                    first.map_or("", |first| &infos[first].name),
                    &info.name,
                ));
            }
            all.origins.push(Origin::Source(i, new.change));
            all.tensors.push(TensorInfo {
                name: new.name,
                shape: match (new.change, info.shape.as_slice()) {
                    (Change::Turned, &[rows, columns]) => vec![columns, rows],
                    (Change::Turned, _) => {
                        let (name, shape) = (&info.name, &info.shape);
                        return Err(format!("tensor '{name}' of {shape:?} is no matrix"));
                    }
                    (Change::Flat, _) => vec![info.elements()],
                    _ => info.shape.clone(),
                },
                // What is added to 1 does not fit the format that it had.
                ..match new.change {
                    Change::PlusOne => TensorInfo {
                        format: StoredFormat::F32,
                        bytes: 4 * info.elements() as u64,
                        ..info.clone()
                    },
                    _ => info.clone(),
                }
            });
        }
        for (name, parts) in parts {
            let stacked: Vec<usize> = parts.values().copied().collect();
            let info = stack(&name, &parts, infos)?;
            if let Some(at) = all.places.insert(name, all.tensors.len()) {
                let first = all.origins.get(at).and_then(Origin::first);
                let first = first.map_or("", |first| &infos[first].name);
                return Err(same(first, &infos[stacked[0]].name));
            }
            all.origins.push(Origin::Stacked(stacked));
            all.tensors.push(info);
        }
        Ok(all)
    }

    /// Puts a tensor of one dimension beside the others.
    ///
    /// # Errors
    /// There is one of that name.
    pub(crate) fn add(&mut self, name: &str, values: Vec<f32>) -> std::result::Result<(), String> {
        if self.places.contains_key(name) {
            return Err(format!("tensor '{name}' is in the file already"));
        }
        self.places.insert(name.to_owned(), self.tensors.len());
        self.tensors.push(TensorInfo {
            name: name.to_owned(),
            shape: vec![values.len()],
            format: StoredFormat::F32,
            bytes: 4 * values.len() as u64,
        });
        self.origins.push(Origin::Values(values));
        Ok(())
    }

    /// The tensors of the source that have new names, in its order.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for (tensor, origin) in self.origins.iter().enumerate() {
            let mut add = |source: usize, change, first| {
                places.push(Place {
                    source,
                    tensor,
                    change,
                    first,
                });
            };
            match origin {
                Origin::Source(at, change) => add(*at, *change, 0),
                Origin::Stacked(all) => {
                    let mut first = 0;
                    for at in all {
                        add(*at, Change::None, first);
                        first += self.source.tensors()[*at].rows();
                    }
                }
                Origin::Values(_) => {}
            }
        }
        places.sort_by_key(|place| place.source);
        places
    }

    /// A tensor as its file has it.
    pub(super) fn in_its_file(&self, place: &Place) -> &TensorInfo {
        &self.source.tensors()[place.source]
    }

    /// Its bytes there.
    pub(super) fn bytes_in_its_file(&self, place: &Place) -> Result<Vec<u8>> {
        self.source.read(place.source)
    }

    /// Leaves a tensor out.
    pub(crate) fn leave_out(&mut self, name: &str) {
        let Some(at) = self.places.remove(name) else {
            return;
        };
        self.tensors.remove(at);
        self.origins.remove(at);
        for place in self.places.values_mut() {
            *place -= usize::from(*place > at);
        }
    }

    /// The name of a tensor in its file.
    pub(crate) fn in_file(&self, name: &str) -> Option<&str> {
        let first = self.origins.get(self.find(name)?)?.first()?;
        let info = self.source.tensors().get(first)?;
        Some(info.name.as_str())
    }

    /// Whether two tensors have the same shape and values.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub(crate) fn are_equal(&self, one: usize, other: usize) -> Result<bool> {
        let (a, b) = (&self.tensors[one], &self.tensors[other]);
        if a.shape != b.shape {
            return Ok(false);
        }
        let rows = a.rows();
        let step = (AT_ONCE / a.row_length().max(1)).max(1);
        let mut start = 0;
        while start < rows {
            let part = start..rows.min(start + step);
            let values = |tensor| -> Result<Vec<f32>> {
                let mut values = vec![0.0; part.len() * a.row_length()];
                self.decode(tensor, part.clone(), &mut values)?;
                Ok(values)
            };
            if values(one)? != values(other)? {
                return Ok(false);
            }
            start = part.end;
        }
        Ok(true)
    }

    /// All of a tensor of the source with its rows as columns.
    fn turn(&self, at: usize) -> Result<Arc<Vec<f32>>> {
        let mut last = self.turned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, values)) = last.as_ref()
            && *known == at
        {
            return Ok(values.clone());
        }
        let info = &self.source.tensors()[at];
        let (rows, columns) = (info.rows(), info.row_length());
        let mut values = vec![0.0; rows * columns];
        self.source.decode(at, 0..rows, &mut values)?;
        let mut turned = vec![0.0; rows * columns];
        for (row, values) in values.chunks_exact(columns.max(1)).enumerate() {
            for (column, value) in values.iter().enumerate() {
                turned[column * rows + row] = *value;
            }
        }
        let turned = Arc::new(turned);
        *last = Some((at, turned.clone()));
        Ok(turned)
    }

    /// Rows of tensors that lie below each other.
    fn decode_stacked(&self, all: &[usize], rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let Some(info) = all.first().map(|first| &self.source.tensors()[*first]) else {
            return Ok(());
        };
        let (each, length) = (info.rows().max(1), info.row_length());
        let (mut row, mut rest) = (rows.start, out);
        while row < rows.end {
            let (part, from) = (row / each, row % each);
            let count = (each - from).min(rows.end - row);
            if part >= all.len() || rest.len() < count * length {
                return Err(outside(rows, each * all.len()));
            }
            let (now, later) = rest.split_at_mut(count * length);
            self.source.decode(all[part], from..from + count, now)?;
            (row, rest) = (row + count, later);
        }
        match rest.is_empty() {
            true => Ok(()),
            false => Err(outside(rows, each * all.len())),
        }
    }

    /// Rows that lie otherwise in the file, by heads.
    fn decode_grouped(
        &self,
        at: usize,
        grouping: Grouping,
        rows: Range<usize>,
        out: &mut [f32],
    ) -> Result<()> {
        let info = &self.source.tensors()[at];
        let (all, length) = (info.rows(), info.row_length());
        let heads = grouping.groups * (grouping.queries + 2);
        if all != heads * grouping.width || rows.end > all || out.len() != rows.len() * length {
            return Err(outside(rows, all));
        }
        let (mut row, mut rest) = (rows.start, out);
        while row < rows.end {
            let count = (grouping.width - row % grouping.width).min(rows.end - row);
            let (now, later) = rest.split_at_mut(count * length);
            let from = grouping.row(row);
            self.source.decode(at, from..from + count, now)?;
            (row, rest) = (row + count, later);
        }
        Ok(())
    }

    fn origin(&self, tensor: usize) -> Result<&Origin> {
        self.origins.get(tensor).ok_or_else(|| {
            let all = self.origins.len();
            Error::Compute(format!("tensor {tensor} is asked for, and there are {all}"))
        })
    }
}

impl Source for Renamed {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    fn decode(&self, tensor: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let copy = |values: &[f32], length: usize, out: &mut [f32]| {
            let asked = rows.start.saturating_mul(length)..rows.end.saturating_mul(length);
            match values.get(asked) {
                Some(values) if values.len() == out.len() => {
                    out.copy_from_slice(values);
                    Ok(())
                }
                _ => Err(outside(rows.clone(), values.len() / length.max(1))),
            }
        };
        match self.origin(tensor)? {
            Origin::Source(at, Change::None) => self.source.decode(*at, rows, out),
            Origin::Source(at, Change::PlusOne) => {
                self.source.decode(*at, rows, out)?;
                out.iter_mut().for_each(|value| *value += 1.0);
                Ok(())
            }
            Origin::Source(at, Change::Turned) => {
                let length = self.tensors[tensor].row_length();
                copy(&self.turn(*at)?, length, out)
            }
            Origin::Source(at, Change::Flat) => {
                let info = &self.source.tensors()[*at];
                let mut values = vec![0.0; info.elements()];
                self.source.decode(*at, 0..info.rows(), &mut values)?;
                copy(&values, 1, out)
            }
            Origin::Source(at, Change::Grouped(grouping)) => {
                self.decode_grouped(*at, *grouping, rows, out)
            }
            Origin::Stacked(all) => self.decode_stacked(all, rows, out),
            Origin::Values(values) => copy(values, 1, out),
        }
    }

    /// As in the file, whatever is changed.
    fn read(&self, tensor: usize) -> Result<Vec<u8>> {
        match self.origin(tensor)? {
            Origin::Source(_, Change::PlusOne) => {
                let info = &self.tensors[tensor];
                let mut values = vec![0.0_f32; info.elements()];
                self.decode(tensor, 0..info.rows(), &mut values)?;
                Ok(values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect())
            }
            Origin::Source(at, _) => self.source.read(*at),
            Origin::Stacked(all) => {
                let all: Result<Vec<_>> = all.iter().map(|at| self.source.read(*at)).collect();
                Ok(all?.concat())
            }
            Origin::Values(values) => Ok(values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()),
        }
    }

    fn all_metadata(&self) -> &BTreeMap<String, Metadata> {
        self.source.all_metadata()
    }

    fn as_renamed(&self) -> Option<&Renamed> {
        Some(self)
    }

    fn paths(&self) -> Vec<&Path> {
        self.source.paths()
    }

    fn metadata(&self, key: &str) -> Option<&Metadata> {
        self.source.metadata(key)
    }

    fn stored_bytes(&self) -> u64 {
        self.tensors.iter().map(|info| info.bytes).sum()
    }
}
