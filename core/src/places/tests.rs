use super::*;
use crate::carbon::{find_grid, named_grid, search_grids};

/// Identifier of the grid that is understood, or the error in words.
fn id(name: &str) -> std::result::Result<&'static str, String> {
    match named_grid(name) {
        Ok(found) => Ok(&found.item.id),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn every_code_of_iso_3166_is_its_country_or_says_that_there_is_no_grid() {
    let file = file::read().unwrap();
    // 249 countries and territories, and Kosovo, which has codes outside the standard.
    assert_eq!(file.countries.len(), 250);
    let mut with_grid = 0;
    for (alpha2, alpha3, name, _) in &file.countries {
        assert_eq!((alpha2.len(), alpha3.len()), (2, 3), "{name}");
        for code in [
            alpha2,
            alpha3,
            &alpha2.to_lowercase(),
            &alpha3.to_lowercase(),
        ] {
            match find_grid(alpha2) {
                Ok(grid) => {
                    let found = named_grid(code).unwrap();
                    assert_eq!(found.item.id, grid.id, "{code}");
                    let exact = code.eq_ignore_ascii_case(alpha2);
                    assert_eq!(found.note.is_none(), exact, "{code}: {:?}", found.note);
                }
                Err(_) => assert_eq!(
                    id(code),
                    Err(format!("no grid data for {name} ({alpha2})")),
                    "{code}"
                ),
            }
        }
        with_grid += usize::from(find_grid(alpha2).is_ok());
    }
    assert!(with_grid >= 215, "{with_grid}");
    let codes: std::collections::BTreeSet<&str> = file
        .countries
        .iter()
        .flat_map(|(alpha2, alpha3, ..)| [alpha2.as_str(), alpha3.as_str()])
        .collect();
    assert_eq!(codes.len(), 500);
    // Each grid of a whole country is in the list.
    for grid in grids().unwrap().iter().filter(|grid| grid.id.len() == 2) {
        assert!(codes.contains(grid.id.as_str()), "{}", grid.id);
    }
}

/// Spot checks that do not come from the file.
#[test]
fn codes_are_never_the_beginning_of_a_name() {
    for (code, expected) in [
        ("UK", "GB"),
        ("GBR", "GB"),
        ("EL", "GR"),
        ("GRC", "GR"),
        ("IND", "IN"),
        ("MAR", "MA"),
        ("DEU", "DE"),
        ("CHE", "CH"),
        ("CHL", "CL"),
        ("AUT", "AT"),
        ("AUS", "AU"),
        ("SVK", "SK"),
        ("SVN", "SI"),
        ("IRN", "IR"),
        ("IRQ", "IQ"),
        ("ISL", "IS"),
        ("ISR", "IL"),
        ("PRK", "KP"),
        ("KOR", "KR"),
        ("COD", "CD"),
        ("COG", "CG"),
        ("NER", "NE"),
        ("NGA", "NG"),
        ("USA", "US"),
        ("UAE", "AE"),
        ("XKX", "XK"),
    ] {
        assert_eq!(id(code), Ok(expected), "{code}");
    }
    for code in ["LIE", "MCO", "AND", "VAT", "SMR", "LI", "EU"] {
        assert!(
            id(code).unwrap_err().starts_with("no grid data for"),
            "{code}"
        );
    }
    assert_eq!(
        id("Ger").unwrap_err(),
        "no region is called 'Ger'; did you mean Germany?"
    );
    assert_eq!(id("XX").unwrap_err(), "no region is called 'XX'");
}

#[test]
fn two_or_three_letters_resolve_as_a_code_or_not_at_all() {
    let places = places().unwrap();
    for wanted in crate::named::letters() {
        match places.find(&wanted) {
            Ok(_) | Err(Error::NoGrid(_)) => {
                assert!(places.codes.contains_key(&wanted), "{wanted}");
            }
            Err(Error::Unknown { .. }) => assert!(!places.codes.contains_key(&wanted), "{wanted}"),
            Err(error) => panic!("{wanted}: {error}"),
        }
    }
}

#[test]
fn every_name_of_a_country_is_its_grid() {
    for (alpha2, _, name, others) in file::read().unwrap().countries {
        for name in others.iter().chain([&name]) {
            let found = id(name);
            match find_grid(&alpha2) {
                Ok(grid) => {
                    let choice = found
                        .as_ref()
                        .is_err_and(|error| error.contains("could be"));
                    let choice = choice && ["GE", "CG", "VI"].contains(&alpha2.as_str());
                    assert!(choice || found == Ok(&grid.id), "{name}: {found:?}");
                }
                Err(_) => assert!(
                    found
                        .as_ref()
                        .is_err_and(|error| error.starts_with("no grid data")),
                    "{name}: {found:?}"
                ),
            }
        }
    }
}

#[test]
fn every_grid_is_found_by_its_identifier_and_its_name_without_a_note() {
    for grid in grids().unwrap() {
        let found = named_grid(&grid.id.to_lowercase()).unwrap();
        assert_eq!((&found.item.id, found.note), (&grid.id, None));
        match named_grid(&grid.name.to_uppercase()) {
            Ok(found) => assert_eq!((&found.item.id, found.note), (&grid.id, None)),
            Err(Error::Ambiguous { candidates, .. }) => {
                assert!(
                    ["GE", "CG", "VI"].contains(&grid.id.as_str()),
                    "{}",
                    grid.id
                );
                assert!(candidates.iter().any(|name| name.contains(&grid.id)));
            }
            Err(error) => panic!("{}: {error}", grid.name),
        }
    }
}

#[test]
fn places_are_found_by_what_people_call_them() {
    for (name, expected) in [
        ("United Kingdom", "GB"),
        ("Great Britain", "GB"),
        ("Britain", "GB"),
        ("England", "GB"),
        ("Northern Ireland", "GB-NIR"),
        ("Czech Republic", "CZ"),
        ("Czechia", "CZ"),
        ("Quebec", "CA-QC"),
        ("Québec", "CA-QC"),
        ("Deutschland", "DE"),
        ("Österreich", "AT"),
        ("Osterreich", "AT"),
        ("Oesterreich", "AT"),
        ("Schweiz", "CH"),
        ("suisse", "CH"),
        ("España", "ES"),
        ("espana", "ES"),
        ("Türkiye", "TR"),
        ("turkiye", "TR"),
        ("Turkey", "TR"),
        ("Ivory Coast", "CI"),
        ("Côte d'Ivoire", "CI"),
        ("Cote d’Ivoire", "CI"),
        ("Burma", "MM"),
        ("Holland", "NL"),
        ("Niederlande", "NL"),
        ("The Netherlands", "NL"),
        ("America", "US"),
        ("United States of America", "US"),
        ("U.S.A.", "US"),
        ("South Korea", "KR"),
        ("Korea, South", "KR"),
        ("Republic of Korea", "KR"),
        ("Frankreich", "FR"),
        ("Polska", "PL"),
        ("Sverige", "SE"),
        ("Suomi", "FI"),
        ("日本", "JP"),
        ("中国", "CN"),
        ("India", "IN"),
        ("Viet Nam", "VN"),
        ("Russian Federation", "RU"),
        ("Macedonia", "MK"),
        ("Curacao", "CW"),
        ("Hong Kong", "HK"),
        ("Taiwan", "TW"),
        ("Zaire", "CD"),
        ("Swaziland", "SZ"),
        ("Tasmania", "AU-TAS"),
        ("Ontario", "CA-ON"),
        ("Tokyo", "JP-TK"),
        ("Sicily", "IT-SIC"),
        ("Majorca", "ES-IB-MA"),
        ("Texas", "US-TEX-ERCO"),
        ("ERCOT", "US-TEX-ERCO"),
        ("US-TX", "US-TEX-ERCO"),
        ("New York", "US-NY-NYIS"),
        ("PJM", "US-MIDA-PJM"),
        ("Hawaii", "US-HI"),
        ("Massachusetts", "US-NE-ISNE"),
        ("SE3", "SE-SE3"),
        ("NO2", "NO-NO2"),
        ("DK1", "DK-DK1"),
        ("world", "WORLD"),
        ("Germ", "DE"),
        ("Canad", "CA"),
        ("Nether", "NL"),
    ] {
        assert_eq!(id(name), Ok(expected), "{name}");
    }
}

#[test]
fn what_could_be_several_places_says_which() {
    for (name, parts) in [
        (
            "California",
            vec!["US-CAL-CISO", "US-CAL-LDWP", "US-CAL-BANC"],
        ),
        ("US-CA", vec!["US-CAL-CISO", "US-CAL-LDWP"]),
        ("Georgia", vec!["(GE)", "US-SE-SOCO"]),
        ("Congo", vec!["(CG)", "(CD)"]),
        ("Korea", vec!["(KR)", "(KP)"]),
        ("United", vec!["United States", "United Arab Emirates"]),
        ("Canary Islands", vec!["ES-CN-TE", "ES-CN-GC"]),
        ("useast1", vec!["US-MIDA-PJM", "US-CAR-SC"]),
        ("East", vec!["East Denmark", "Timor-Leste"]),
        ("Aust", vec!["Austria", "Australia"]),
    ] {
        let error = named_grid(name).unwrap_err();
        let Error::Ambiguous { candidates, .. } = &error else {
            panic!("{name}: {error}");
        };
        for part in parts {
            assert!(
                candidates.iter().any(|one| one.contains(part)),
                "{name}: {error}"
            );
        }
    }
}

#[test]
fn what_is_no_place_is_no_other_place() {
    for name in [
        "",
        " ",
        "-",
        "Atlantis",
        "Frnce",
        "us-east-9",
        "Borneo",
        "TX",
        "South Island",
        "eu-west-1x",
    ] {
        let found = named_grid(name);
        assert!(
            matches!(found, Err(Error::Unknown { .. })),
            "{name}: {found:?}"
        );
    }
    for name in [
        "Europe",
        "European Union",
        "Liechtenstein",
        "Monaco",
        "Africa",
    ] {
        let found = named_grid(name);
        assert!(matches!(found, Err(Error::NoGrid(_))), "{name}: {found:?}");
    }
}

#[test]
fn every_cloud_region_is_the_grid_beside_it_whatever_is_written_around_it() {
    let file = file::read().unwrap();
    let regions: usize = file.clouds.iter().map(|cloud| cloud.regions.len()).sum();
    assert!(regions >= 150, "{regions}");
    let mut seen = std::collections::BTreeSet::new();
    for cloud in &file.clouds {
        assert!(cloud._source.len() > 40);
        for (region, _, zone) in &cloud.regions {
            assert!(seen.insert(region), "{region} twice");
            for written in [
                region.clone(),
                region.to_uppercase(),
                format!(" {region} "),
                format!("{} {region}", cloud.provider),
                format!("{}:{region}", cloud.names[0]),
            ] {
                let found = named_grid(&written).unwrap();
                assert_eq!(found.item.id, *zone, "{written}");
                let note = found.note.unwrap_or_default();
                assert!(
                    note.contains(&cloud.provider) && note.contains(zone),
                    "{note}"
                );
            }
        }
    }
    // The large ones, by another list than the file: what each provider says about the place.
    for (region, expected) in [
        ("us-east-1", "US-MIDA-PJM"),
        ("us-east1", "US-CAR-SC"),
        ("us-east-1a", "US-MIDA-PJM"),
        ("europe-west4", "NL"),
        ("europe-west4-b", "NL"),
        ("germanywestcentral", "DE"),
        ("Germany West Central", "DE"),
        ("eu-central-1", "DE"),
        ("eu-west-3", "FR"),
        ("westeurope", "NL"),
        ("northeurope", "IE"),
        ("ap-northeast-1", "JP-TK"),
        ("us-west-1", "US-CAL-CISO"),
        ("us-central1", "US-MIDW-MISO"),
        ("canadacentral", "CA-ON"),
        ("ca-central-1", "CA-QC"),
        ("swedencentral", "SE-SE3"),
        ("australiaeast", "AU-NSW"),
    ] {
        assert_eq!(id(region), Ok(expected), "{region}");
    }
}

#[test]
fn the_note_says_what_was_understood() {
    for (name, expected) in [
        ("deu", "Germany (DE), understood from 'deu'"),
        (
            "germanywestcentral",
            "Germany (DE), understood from 'germanywestcentral' (Azure region, Frankfurt)",
        ),
        (" Germ ", "Germany (DE), understood from 'Germ'"),
    ] {
        assert_eq!(named_grid(name).unwrap().note.as_deref(), Some(expected));
    }
    assert_eq!(named_grid("germany").unwrap().note, None);
}

#[test]
fn a_search_has_what_is_meant_first_and_all_that_fits() {
    for (text, first) in [
        ("UK", "GB"),
        ("us-east-1", "US-MIDA-PJM"),
        ("deutsch", "DE"),
        ("korea south", "KR"),
        ("quebec", "CA-QC"),
        ("kingdom united", "GB"),
    ] {
        assert_eq!(search_grids(text).unwrap().items[0].id, first, "{text}");
    }
    let ids = |text: &str| -> Vec<&str> {
        let hits = search_grids(text).unwrap();
        hits.items.iter().map(|grid| grid.id.as_str()).collect()
    };
    assert!(ids("california")[..5].contains(&"US-CAL-LDWP"));
    assert_eq!(ids("").len(), grids().unwrap().len());
    assert!(ids("no such place").is_empty());
    let hits = search_grids("Liechtenstein").unwrap();
    let notice = "No grid data for Liechtenstein (LI)".to_owned();
    assert_eq!((hits.items.len(), hits.notice), (0, Some(notice)));
}
