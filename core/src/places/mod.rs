//! What places are called: which grid people mean by a name, a code or a region of a cloud provider.

mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use crate::carbon::{Grid, grids};
use crate::error::{Error, Result};
use crate::named::{Entry, Hits, Index, Understood, is_code, note, squashed, words};

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    /// The grid of this place in the list.
    Grid(usize),
    /// One of several grids, and the name does not say which.
    Choice(Vec<usize>),
    /// A known place without a grid, by its name.
    None(String),
}

/// A name that is spelt in one way only, up to upper and lower case: an identifier or a code.
#[derive(Debug)]
struct Code {
    meaning: Meaning,
    /// What it is a code of, where that is not a place: "AWS region, Frankfurt".
    of: String,
}

/// All names of places.
#[derive(Debug)]
pub(crate) struct Places {
    /// Name and identifier of each grid.
    shown: Vec<(String, String)>,
    /// Codes and identifiers, in lower case.
    codes: HashMap<String, Code>,
    /// Names that several places share.
    shared: HashMap<String, Meaning>,
    /// Names on screen, written together.
    names: HashMap<String, usize>,
    /// All names, written together.
    others: BTreeMap<String, Vec<Meaning>>,
    /// Identifiers of cloud regions, written together: no beginnings of names.
    clouds: HashMap<String, Vec<Meaning>>,
    /// The same by their words in the order of the alphabet: "Korea, South" is "South Korea".
    sorted: HashMap<String, Vec<Meaning>>,
    /// Names of the cloud providers.
    providers: Vec<String>,
    /// For searches.
    index: Index,
}

/// All names of places, put together once.
///
/// # Errors
/// [`Error::File`] when a file that ships with the program is broken.
pub(crate) fn places() -> Result<&'static Places> {
    static PLACES: OnceLock<Result<Places>> = OnceLock::new();
    match PLACES.get_or_init(|| Places::new(grids()?, &file::read()?)) {
        Ok(places) => Ok(places),
        Err(error) => Err(error.clone()),
    }
}

/// Names of parts that are those of other places too: a county of fourteen states, an island of three countries.
const COMMON_PARTS: [&str; 5] = [
    "East",
    "Peninsula",
    "Borneo",
    "Main Islands",
    "South Island",
];

/// The part in "Canada: Ontario", where that is a name of its own.
fn part(name: &str) -> Option<&str> {
    let (_, part) = name.split_once(": ")?;
    let common = COMMON_PARTS.contains(&part) || part.ends_with(" County");
    (!common).then_some(part)
}

/// A bidding zone in an identifier: `SE3` of `SE-SE3`.
fn zone(id: &str) -> Option<&str> {
    let (country, zone) = id.split_once('-')?;
    (zone.starts_with(country) && zone.ends_with(|end: char| end.is_ascii_digit())).then_some(zone)
}

/// Words in the order of the alphabet.
fn sorted(name: &str) -> String {
    let mut words = words(name);
    words.sort();
    words.join(" ")
}

impl Places {
    fn new(grids: &[Grid], file: &file::File) -> Result<Self> {
        let by_id: HashMap<&str, usize> = grids
            .iter()
            .enumerate()
            .map(|(item, grid)| (grid.id.as_str(), item))
            .collect();
        let mut builder = Builder::new(grids);
        for (alpha2, alpha3, name, others) in &file.countries {
            let meaning = match by_id.get(alpha2.as_str()) {
                Some(item) => Meaning::Grid(*item),
                None => Meaning::None(format!("{name} ({alpha2})")),
            };
            builder.code(alpha2, &meaning, String::new());
            builder.code(alpha3, &meaning, String::new());
            builder.name(name, &meaning);
            for other in others {
                builder.name(other, &meaning);
            }
        }
        for name in &file.without_grid {
            builder.name(name, &Meaning::None(name.clone()));
        }
        let fail = |id: &str| Error::file(format!("no grid is called {id}"), "assets/places.ron");
        let grid = |id: &String| by_id.get(id.as_str()).copied().ok_or_else(|| fail(id));
        for (code, name, ids) in &file.parts {
            let items = ids.iter().map(grid).collect::<Result<Vec<_>>>()?;
            let meaning = match items[..] {
                [item] => Meaning::Grid(item),
                _ => Meaning::Choice(items),
            };
            builder.code(code, &meaning, String::new());
            builder.part(name, &meaning);
        }
        for cloud in &file.clouds {
            for (id, place, zone) in &cloud.regions {
                let of = format!("{} region, {place}", cloud.provider);
                builder.cloud(id, &Meaning::Grid(grid(zone)?), of);
            }
        }
        let providers = file.clouds.iter();
        builder.places.providers = providers
            .flat_map(|cloud| std::iter::once(&cloud.provider).chain(&cloud.names))
            .map(|name| name.to_lowercase())
            .collect();
        Ok(builder.finish())
    }

    /// The place in the list of grids of what is meant.
    ///
    /// # Errors
    /// As [`crate::carbon::named_grid`].
    pub(crate) fn find(&self, wanted: &str) -> Result<Understood<usize>> {
        let text = wanted.trim().to_lowercase();
        let together = squashed(&text);
        let named = |(name, id): &(String, String)| {
            id.to_lowercase() == text || name.to_lowercase() == text
        };
        if let Some(meaning) = self.shared.get(&together) {
            return self.meant(wanted, [meaning], "");
        }
        if let Some(item) = self.shown.iter().position(named) {
            return Ok(Understood { item, note: None });
        }
        if let Some(code) = self.cloud_or_code(&text) {
            return self.meant(wanted, [&code.meaning], &code.of);
        }
        if together.is_empty() {
            return Err(self.unknown(wanted));
        }
        if let Some(item) = self.names.get(&together) {
            return self.meant(wanted, [&Meaning::Grid(*item)], "");
        }
        let same = self.others.get(&together);
        let same = same.or_else(|| self.sorted.get(&sorted(&text)));
        if let Some(meanings) = same.or_else(|| self.clouds.get(&together)) {
            return self.meant(wanted, meanings, "");
        }
        if !is_code(wanted) && together.chars().count() >= BEGINNING {
            let begun = self
                .others
                .range(together.clone()..)
                .take_while(|(name, _)| name.starts_with(&together))
                .flat_map(|(_, meanings)| meanings);
            let begun: Vec<&Meaning> = begun.collect();
            if !begun.is_empty() {
                return self.meant(wanted, begun, "");
            }
        }
        Err(self.unknown(wanted))
    }

    /// A code or identifier, as it is, with the name of a cloud provider before it, or with a zone of a cloud region
    /// behind it.
    fn cloud_or_code(&self, text: &str) -> Option<&Code> {
        let plain = self.providers.iter().find_map(|provider| {
            let rest = text.strip_prefix(provider.as_str())?;
            let begins = rest.starts_with([' ', ':', '/']);
            begins.then(|| rest.trim_start_matches([' ', ':', '/']))
        });
        let cloud = |text: &str| self.codes.get(text).filter(|code| !code.of.is_empty());
        if let Some(plain) = plain {
            return cloud(plain);
        }
        let of_zone = || {
            let region = text.strip_suffix(|zone| ('a'..='f').contains(&zone))?;
            let region = region.strip_suffix('-').unwrap_or(region);
            cloud(region).filter(|_| region.ends_with(|end: char| end.is_ascii_digit()))
        };
        // "U.S.A."
        let plain = || self.codes.get(&text.replace('.', ""));
        self.codes.get(text).or_else(plain).or_else(of_zone)
    }

    fn meant<'a>(
        &self,
        wanted: &str,
        meanings: impl IntoIterator<Item = &'a Meaning>,
        of: &str,
    ) -> Result<Understood<usize>> {
        let mut meanings: Vec<&Meaning> = meanings.into_iter().collect();
        meanings.sort();
        meanings.dedup();
        match meanings[..] {
            [Meaning::Grid(item)] => {
                let note = note(&self.name(*item), wanted);
                let of = match of {
                    "" => String::new(),
                    of => format!(" ({of})"),
                };
                Ok(Understood {
                    item: *item,
                    note: Some(note + &of),
                })
            }
            [Meaning::None(name)] => Err(Error::NoGrid(name.clone())),
            _ => {
                let mut candidates = Vec::new();
                for meaning in meanings {
                    match meaning {
                        Meaning::Grid(item) => candidates.push(self.name(*item)),
                        Meaning::Choice(items) => {
                            candidates.extend(items.iter().map(|item| self.name(*item)));
                        }
                        Meaning::None(name) => candidates.push(name.clone()),
                    }
                }
                let mut seen = std::collections::HashSet::new();
                candidates.retain(|name| seen.insert(name.clone()));
                Err(Error::Ambiguous {
                    what: "region",
                    wanted: wanted.trim().to_owned(),
                    candidates,
                })
            }
        }
    }

    /// Name and identifier of a grid.
    fn name(&self, item: usize) -> String {
        let (name, id) = &self.shown[item];
        format!("{name} ({id})")
    }

    /// Up to three letters are a code that does not exist: names that begin so, else nothing, resemble it. Longer words are
    /// a misspelt name or identifier.
    fn unknown(&self, wanted: &str) -> Error {
        let wanted = wanted.trim();
        if is_code(wanted) {
            let together = squashed(wanted);
            let begins = |(name, _): &&(String, String)| {
                !together.is_empty() && squashed(name).starts_with(&together)
            };
            let near = self.shown.iter().filter(begins).take(3);
            return Error::Unknown {
                what: "region",
                id: wanted.to_owned(),
                near: near.map(|(name, _)| name.clone()).collect(),
            };
        }
        let clouds = self.codes.iter().filter(|(_, code)| !code.of.is_empty());
        let mut clouds: Vec<&str> = clouds.map(|(id, _)| id.as_str()).collect();
        clouds.sort_unstable();
        if wanted.contains(|letter: char| letter.is_ascii_digit()) {
            return Error::unknown("region", wanted, clouds);
        }
        let names = self.shown.iter().map(|(name, _)| name.as_str());
        match Error::unknown("region", wanted, names) {
            Error::Unknown { near, .. } if near.is_empty() => {
                let ids = self.shown.iter().map(|(_, id)| id.as_str());
                Error::unknown("region", wanted, ids.chain(clouds))
            }
            error => error,
        }
    }

    /// The places in the list of grids that a search fits, best first; what a choice leaves open comes before what only
    /// has the letters.
    pub(crate) fn search(&self, text: &str) -> Hits<usize> {
        let found = self.find(text);
        let first: Vec<usize> = match &found {
            Ok(found) => vec![found.item],
            Err(Error::Ambiguous { candidates, .. }) => (0..self.shown.len())
                .filter(|item| candidates.contains(&self.name(*item)))
                .collect(),
            Err(_) => Vec::new(),
        };
        let mut items = self.index.search(text);
        items.retain(|item| !first.contains(item));
        items.splice(0..0, first);
        Hits {
            items,
            notice: match found {
                Err(Error::NoGrid(name)) => Some(format!("No grid data for {name}")),
                _ => None,
            },
        }
    }
}

/// Fewest letters with which the beginning of a name stands for it.
const BEGINNING: usize = 4;

/// Names as they come, before they are looked up.
struct Builder {
    places: Places,
    /// Other names of each grid, for searches.
    called: Vec<Vec<String>>,
}

impl Builder {
    /// The identifiers, the names on screen and the parts in these.
    fn new(grids: &[Grid]) -> Self {
        let mut builder = Self {
            called: vec![Vec::new(); grids.len()],
            places: Places {
                shown: Vec::new(),
                codes: HashMap::new(),
                shared: HashMap::new(),
                names: HashMap::new(),
                others: BTreeMap::new(),
                clouds: HashMap::new(),
                sorted: HashMap::new(),
                providers: Vec::new(),
                index: Index::new("region", Vec::new(), &[]),
            },
        };
        for (item, grid) in grids.iter().enumerate() {
            let meaning = Meaning::Grid(item);
            let shown = (grid.name.clone(), grid.id.clone());
            builder.places.shown.push(shown);
            builder.places.names.insert(squashed(&grid.name), item);
            if grid.name.contains(": ") {
                // "Canad" is Canada and none of its parts.
                builder.whole(&grid.name, &meaning);
            } else {
                builder.name(&grid.name, &meaning);
            }
            builder.code(&grid.id, &meaning, String::new());
            if let Some(part) = part(&grid.name) {
                builder.name(part, &meaning);
            }
            if let Some(zone) = zone(&grid.id) {
                builder.code(zone, &meaning, String::new());
            }
        }
        builder
    }

    fn code(&mut self, code: &str, meaning: &Meaning, of: String) {
        if code.is_empty() {
            return;
        }
        self.called(code, meaning);
        let meaning = meaning.clone();
        let code = code.to_lowercase();
        self.places
            .codes
            .entry(code)
            .or_insert(Code { meaning, of });
    }

    /// The identifier of a cloud region. Its letters without hyphens are another provider's with others: `us-east-1` of
    /// AWS and `us-east1` of Google.
    fn cloud(&mut self, id: &str, meaning: &Meaning, of: String) {
        let meanings = self.places.clouds.entry(squashed(id)).or_default();
        meanings.push(meaning.clone());
        self.code(id, meaning, of);
    }

    /// A name, or a code that is no code of the standard: UK, UAE.
    fn name(&mut self, name: &str, meaning: &Meaning) {
        if is_code(name) {
            self.code(name, meaning, String::new());
            return;
        }
        self.whole(name, meaning);
        let others = self.places.others.entry(squashed(name)).or_default();
        others.push(meaning.clone());
    }

    /// A name that is never cut short.
    fn whole(&mut self, name: &str, meaning: &Meaning) {
        self.called(name, meaning);
        let sorted = self.places.sorted.entry(sorted(name)).or_default();
        sorted.push(meaning.clone());
    }

    /// A part of a country, or a name that several places share.
    fn part(&mut self, name: &str, meaning: &Meaning) {
        let together = squashed(name);
        if matches!(meaning, Meaning::Choice(_)) && self.places.others.contains_key(&together) {
            self.places.shared.insert(together, meaning.clone());
        } else {
            self.name(name, meaning);
        }
    }

    /// Keeps a name for searches.
    fn called(&mut self, name: &str, meaning: &Meaning) {
        match meaning {
            Meaning::Grid(item) => self.called[*item].push(name.to_owned()),
            Meaning::Choice(items) => {
                for item in items {
                    self.called[*item].push(name.to_owned());
                }
            }
            Meaning::None(_) => {}
        }
    }

    fn finish(mut self) -> Places {
        let shown = self.places.shown.iter().zip(&self.called);
        let entries = shown
            .map(|((name, id), called)| Entry::new(id, name, called.iter().map(String::as_str)));
        self.places.index = Index::new("region", entries.collect(), &[]);
        self.places
    }
}
