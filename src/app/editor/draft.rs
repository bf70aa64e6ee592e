//! The device in the editor: what it was, what it is now, and what is wrong with it.

use std::path::{Path, PathBuf};

use wattif_core::hardware::{CostModel, HardwareTarget, Part, own};

use super::row::Row;

/// A device that is being changed.
pub(super) struct Draft {
    /// The device that it is compared with: the one copied, or the one saved.
    pub(super) original: HardwareTarget,
    /// As it was when the editor was opened.
    start: HardwareTarget,
    /// As it is now; what cannot be read is as it was before.
    pub(super) target: HardwareTarget,
    /// Whether it has no file yet.
    pub(super) is_new: bool,
    /// Of the own devices.
    folder: PathBuf,
    pub(super) rows: Vec<Row>,
    /// Rows and columns of the matrix unit, as typed.
    pub(super) tile: String,
    /// What the checks of its file say, by field.
    faults: Vec<(String, String)>,
    id_fault: Option<String>,
    /// Counts changes.
    pub(super) version: u64,
}

impl Draft {
    /// A copy of a device, under an identifier that is free.
    pub(super) fn copy_of(original: &HardwareTarget, folder: &Path) -> Self {
        let first = if original.yours {
            format!("{}-2", original.id)
        } else {
            format!("my-{}", original.id)
        };
        let numbered = (2..).map(|n| format!("{first}-{n}"));
        let id = std::iter::once(first.clone())
            .chain(numbered)
            .find(|id| own::check_new_id(id, folder).is_ok())
            .unwrap_or(first);
        let mut start = own::copy(original, &id);
        start.name = format!("{}, changed", original.name);
        Self::new(original.clone(), start, true, folder)
    }

    /// One of the user's own devices.
    pub(super) fn change_of(original: &HardwareTarget, folder: &Path) -> Self {
        Self::new(original.clone(), original.clone(), false, folder)
    }

    fn new(original: HardwareTarget, start: HardwareTarget, is_new: bool, folder: &Path) -> Self {
        let mut draft = Self {
            original,
            target: start.clone(),
            start,
            is_new,
            folder: folder.to_owned(),
            rows: Vec::new(),
            tile: String::new(),
            faults: Vec::new(),
            id_fault: None,
            version: 0,
        };
        draft.tile = tile_text(&draft.target);
        draft.list_rows();
        draft.settle();
        draft
    }

    /// Lists the figures that the device has now; those that were there keep what was typed.
    fn list_rows(&mut self) {
        let initial = self.start.figures();
        let mut before = std::mem::take(&mut self.rows);
        self.rows = self
            .target
            .figures()
            .into_iter()
            .map(|listed| {
                let kept = before.iter().position(|row| row.field == listed.field);
                match kept {
                    Some(place) => before.swap_remove(place),
                    None => {
                        let initial = initial.iter().find(|f| f.field == listed.field);
                        Row::new(listed, initial.map(|listed| listed.figure.clone()))
                    }
                }
            })
            .collect();
    }

    /// Takes over what is typed and checks the device as its file will be checked.
    pub(super) fn settle(&mut self) {
        self.version += 1;
        for row in &self.rows {
            if let Ok(figure) = row.figure() {
                // The rows are listed from this device, so it has the figure.
                let _ = self.target.set_figure(&row.field, &figure);
            }
        }
        if let (CostModel::Processor(processor), Ok(tile)) =
            (&mut self.target.model, read_tile(&self.tile))
        {
            processor.tile = tile;
        }
        self.faults = self.target.faults();
        self.id_fault = if self.is_new {
            own::check_new_id(&self.target.id, &self.folder).err()
        } else {
            None
        };
    }

    /// What is wrong with a figure: what cannot be read, else what the checks say.
    pub(super) fn fault_of(&self, row: &Row) -> Option<String> {
        row.figure().err().or_else(|| self.fault(&row.field))
    }

    /// What the checks say about the device as a whole.
    pub(super) fn fault(&self, field: &str) -> Option<String> {
        let fault = self.faults.iter().find(|(about, _)| about == field);
        fault.map(|(_, fact)| in_words(fact))
    }

    pub(super) fn id_fault(&self) -> Option<&str> {
        self.id_fault.as_deref()
    }

    pub(super) fn name_fault(&self) -> Option<&'static str> {
        let empty = self.target.name.trim().is_empty();
        empty.then_some("a device needs a name")
    }

    pub(super) fn tile_fault(&self) -> Option<&'static str> {
        let wrong = read_tile(&self.tile).is_err();
        wrong.then_some("type rows × columns, such as 128 × 128, or nothing")
    }

    /// How many figures differ from what they were.
    pub(super) fn changes(&self) -> usize {
        self.rows.iter().filter(|row| row.is_changed()).count()
    }

    /// Whether closing the editor would lose something.
    pub(super) fn has_changes(&self) -> bool {
        self.target != self.start
            || self.tile_fault().is_some()
            || self.rows.iter().any(Row::is_changed)
    }

    /// Why it cannot be saved, if so.
    pub(super) fn obstacle(&self) -> Option<String> {
        let unread = self.rows.iter().find_map(|row| {
            let fact = row.figure().err()?;
            Some(format!("{}, {fact}", row.full_name()))
        });
        unread
            .or_else(|| self.faults.first().map(|(_, fact)| in_words(fact)))
            .or_else(|| self.id_fault.clone())
            .or_else(|| self.name_fault().map(str::to_owned))
            .or_else(|| self.tile_fault().map(|fact| format!("matrix unit: {fact}")))
            .or_else(|| {
                let same = !self.is_new && !self.has_changes();
                same.then(|| "nothing was changed".to_owned())
            })
    }

    /// Gives or takes away a part; one that the device had comes back as it was.
    pub(super) fn set_part(&mut self, part: Part, wanted: bool) {
        if wanted {
            let start = self.start.clone();
            self.target.add_part(part, &start);
        } else {
            self.target.remove_part(part);
        }
        self.list_rows();
        self.settle();
    }

    /// Whether the device had a part when the editor was opened.
    pub(super) fn had(&self, part: Part) -> bool {
        self.start.parts().contains(&(part, true))
    }

    /// The device with one figure changed and all else as it was; `None` where that figure came with a part.
    pub(super) fn with_only(&self, row: &Row) -> Option<HardwareTarget> {
        let mut target = HardwareTarget {
            id: self.target.id.clone(),
            ..self.start.clone()
        };
        let figure = row.figure().ok()?;
        target.set_figure(&row.field, &figure).ok()?;
        Some(target)
    }
}

/// What the checks say, without the spelling of the fields of a file.
fn in_words(fact: &str) -> String {
    fact.replace('_', " ")
}

fn tile_text(target: &HardwareTarget) -> String {
    match &target.model {
        CostModel::Processor(processor) => processor
            .tile
            .map_or_else(String::new, |(rows, columns)| format!("{rows} × {columns}")),
        _ => String::new(),
    }
}

/// "128 × 128"; nothing is no tile.
fn read_tile(text: &str) -> Result<Option<(u32, u32)>, ()> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let (rows, columns) = text.split_once(['x', '×', '*']).ok_or(())?;
    let side = |text: &str| text.trim().parse().ok().filter(|side: &u32| *side > 0);
    match (side(rows), side(columns)) {
        (Some(rows), Some(columns)) => Ok(Some((rows, columns))),
        _ => Err(()),
    }
}
