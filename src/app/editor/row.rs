//! One figure in the editor: what is typed into its fields, and what that means.

use wattif_core::hardware::{Figure, ListedFigure, Plausible, Trust};

use super::quantity::{read, write};

/// The values of a figure, in the order of their fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Low,
    Typical,
    High,
}

impl Place {
    pub(super) const ALL: [Self; 3] = [Self::Low, Self::Typical, Self::High];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Typical => "typical",
            Self::High => "high",
        }
    }
}

/// Digits of an end of a range that followed its typical value.
const DIGITS: usize = 6;

/// What a changed figure says of its source until somebody writes a better one.
const BY_HAND: &str = "set by hand";

/// A figure with the texts of its fields.
pub(super) struct Row {
    /// The key in the device, see [`ListedFigure::field`].
    pub(super) field: String,
    pub(super) group: &'static str,
    pub(super) name: String,
    pub(super) unit: &'static str,
    plausible: Plausible,
    /// As the device had it when the editor was opened; `None` where it had no such part.
    initial: Option<Figure<f64>>,
    /// Low, typical, high.
    pub(super) texts: [String; 3],
    pub(super) source: String,
    pub(super) trust: Trust,
    /// Whether the source was written here and not by a person.
    own_source: bool,
    /// Whether low or high were typed, so that they no longer follow the typical value.
    own_range: bool,
}

impl Row {
    pub(super) fn new(listed: ListedFigure, initial: Option<Figure<f64>>) -> Self {
        let mut row = Self {
            field: listed.field,
            group: listed.group,
            name: listed.name,
            unit: listed.unit,
            plausible: listed.plausible,
            initial,
            texts: Default::default(),
            source: String::new(),
            trust: Trust::Given,
            own_source: false,
            own_range: false,
        };
        row.take(&listed.figure);
        row
    }

    fn take(&mut self, figure: &Figure<f64>) {
        let text = |value: Option<f64>| value.map_or_else(String::new, |v| write(v, self.unit));
        self.texts = [
            text(figure.low),
            text(Some(figure.typical)),
            text(figure.high),
        ];
        self.source.clone_from(&figure.source);
        self.trust = figure.trust;
        self.own_source = false;
        self.own_range = false;
    }

    /// "Memory outside the chip, bandwidth": its name among all figures.
    pub(super) fn full_name(&self) -> String {
        format!("{}: {}", self.group, self.name)
    }

    /// The values that it can have, in words.
    pub(super) fn limits(&self) -> String {
        let Plausible { least, most, zero } = self.plausible;
        let nothing = if zero { ", or 0" } else { "" };
        let (least, most) = (write(least, self.unit), write(most, self.unit));
        format!("Between {least} and {most}{nothing}")
    }

    /// What stands in the fields; an empty low or high is none.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub(super) fn figure(&self) -> Result<Figure<f64>, String> {
        let value = |place: Place| {
            let text = self.texts[place as usize].trim();
            if text.is_empty() && place != Place::Typical {
                return Ok(None);
            }
            read(text, self.unit)
                .map(Some)
                .ok_or_else(|| self.unreadable(place, text))
        };
        let [low, typical, high] = Place::ALL.map(value);
        Ok(Figure {
            low: low?,
            typical: typical?.unwrap_or(f64::NAN),
            high: high?,
            source: self.source.trim().to_owned(),
            trust: self.trust,
        })
    }

    fn unreadable(&self, place: Place, text: &str) -> String {
        let wanted = match self.unit {
            "" => "a number".to_owned(),
            unit => format!("a number of {unit}"),
        };
        let example = self.initial.as_ref().map(|figure| figure.typical);
        let example = example.map_or_else(String::new, |value| {
            format!(", such as {}", write(value, self.unit))
        });
        let name = place.name();
        if text.is_empty() {
            format!("{name}: type {wanted}{example}")
        } else {
            format!("{name}: '{text}' is not {wanted}{example}")
        }
    }

    /// Whether anything differs from what the device had.
    pub(super) fn is_changed(&self) -> bool {
        self.figure().ok() != self.initial
    }

    /// Whether the device had this figure, so that it can be put back.
    pub(super) fn can_be_put_back(&self) -> bool {
        self.initial.is_some()
    }

    pub(super) fn put_back(&mut self) {
        if let Some(initial) = self.initial.clone() {
            self.take(&initial);
        }
    }

    /// A value was typed: low and high keep their distance to the typical value as long as nobody typed them, and the
    /// source no longer is what it was.
    pub(super) fn typed(&mut self, place: Place) {
        if place == Place::Typical {
            self.follow();
        } else {
            self.own_range = true;
        }
        let values = |figure: &Figure<f64>| (figure.low, figure.typical, figure.high);
        let (now, initial) = (self.figure().ok(), self.initial.as_ref());
        let same = match (&now, initial) {
            (Some(now), Some(initial)) => values(now) == values(initial),
            _ => false,
        };
        if same && self.own_source {
            if let Some(initial) = initial {
                self.source.clone_from(&initial.source);
                self.trust = initial.trust;
            }
            self.own_source = false;
        } else if !same && self.source_is_initial() {
            self.source = match initial {
                Some(initial) => {
                    format!("{BY_HAND}; before: {}", write(initial.typical, self.unit))
                }
                None => BY_HAND.to_owned(),
            };
            self.trust = Trust::Given;
            self.own_source = true;
        }
    }

    fn source_is_initial(&self) -> bool {
        match &self.initial {
            Some(initial) => self.source == initial.source && self.trust == initial.trust,
            None => self.source.is_empty(),
        }
    }

    fn follow(&mut self) {
        let Some(initial) = self.initial.as_ref().filter(|_| !self.own_range) else {
            return;
        };
        let Some(typical) = read(&self.texts[Place::Typical as usize], self.unit) else {
            return;
        };
        let factor = typical / initial.typical;
        if !factor.is_finite() {
            return;
        }
        for (place, end) in [(Place::Low, initial.low), (Place::High, initial.high)] {
            if let Some(end) = end {
                let digits = DIGITS - 1;
                let rounded = format!("{:.digits$e}", end * factor).parse();
                let value = if factor == 1.0 {
                    end
                } else {
                    rounded.unwrap_or(end * factor)
                };
                self.texts[place as usize] = write(value, self.unit);
            }
        }
    }

    /// A person wrote about the source.
    pub(super) fn source_typed(&mut self) {
        self.own_source = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let figure = Figure {
            low: Some(60.0),
            typical: 100.0,
            high: Some(210.0),
            source: "a data sheet".to_owned(),
            trust: Trust::Published,
        };
        let listed = ListedFigure {
            field: "static_power".to_owned(),
            group: "Power",
            name: "Static power".to_owned(),
            unit: "W",
            figure: figure.clone(),
            plausible: Plausible {
                least: 1e-9,
                most: 1e5,
                zero: true,
            },
        };
        Row::new(listed, Some(figure))
    }

    #[test]
    fn low_and_high_follow_until_they_are_typed() {
        let mut row = row();
        assert!(!row.is_changed());
        "50 W".clone_into(&mut row.texts[1]);
        row.typed(Place::Typical);
        assert_eq!(row.texts, ["30 W", "50 W", "105 W"]);
        "200".clone_into(&mut row.texts[2]);
        row.typed(Place::High);
        "40 W".clone_into(&mut row.texts[1]);
        row.typed(Place::Typical);
        assert_eq!(row.texts, ["30 W", "40 W", "200"]);
        row.put_back();
        assert!(!row.is_changed());
    }

    #[test]
    fn the_values_that_a_figure_can_have_are_said_with_its_unit() {
        assert_eq!(row().limits(), "Between 1 nW and 100 kW, or 0");
    }

    #[test]
    fn a_changed_value_loses_its_source_and_finds_it_again() {
        let mut row = row();
        "50 W".clone_into(&mut row.texts[1]);
        row.typed(Place::Typical);
        assert_eq!(row.source, "set by hand; before: 100 W");
        assert_eq!(row.trust, Trust::Given);
        "0.1 kW".clone_into(&mut row.texts[1]);
        row.typed(Place::Typical);
        assert_eq!(
            (row.source.as_str(), row.trust),
            ("a data sheet", Trust::Published)
        );
        assert!(!row.is_changed(), "another way to write the same");
        "my own meter".clone_into(&mut row.source);
        row.source_typed();
        "50 W".clone_into(&mut row.texts[1]);
        row.typed(Place::Typical);
        assert_eq!(row.source, "my own meter", "what a person wrote stays");
    }

    #[test]
    fn what_cannot_be_read_is_named_with_an_example() {
        let mut row = row();
        "5 J".clone_into(&mut row.texts[1]);
        row.typed(Place::Typical);
        assert_eq!(
            row.figure().unwrap_err(),
            "typical: '5 J' is not a number of W, such as 100 W"
        );
        row.texts = Default::default();
        assert_eq!(
            row.figure().unwrap_err(),
            "typical: type a number of W, such as 100 W"
        );
    }
}
