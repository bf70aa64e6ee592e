//! Published configurations, shortened to the keys that matter, against the published counts and file sizes
//! (`core/tests/fixtures/configs.csv`).

use std::path::Path;

use super::open;
use crate::outline::Outline;
use crate::recipe::Recipe;

/// Parameters against the published count.
const PARAMETERS: f64 = 0.015;
/// Bytes of weights against the published files.
const BYTES: f64 = 0.03;

#[test]
fn published_configurations_are_counted_as_published() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut table = csv::Reader::from_path(folder.join("configs.csv")).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in table.records() {
        let row = row.unwrap();
        count += 1;
        let name = &row[0];
        let mut path = folder.join("configs").join(name).join("config.json");
        if !path.is_file() {
            path.set_file_name("params.json");
        }
        let network = match open(&path) {
            Ok(network) => network,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let context: f64 = row[1].parse().unwrap();
        let graph = network.graph();
        let outline = Outline::of(path.display().to_string().parse().unwrap(), network.clone());
        let profile = outline.predict(&Recipe::default()).unwrap();
        let mut check = |what: &str, found: f64, published: &str, apart: f64| {
            if let Ok(published) = published.parse::<f64>()
                && (found - published).abs() > apart * published
            {
                wrong.push(format!(
                    "{name}: {what} {found:.4e}, published {published:.4e}"
                ));
            }
        };
        check("parameters", graph.parameters() as f64, &row[2], PARAMETERS);
        check("active", graph.active_parameters(), &row[3], 0.02);
        check("bytes", profile.stored_bytes() as f64, &row[4], BYTES);
        check("cache", graph.kept_bytes(context), &row[5], 0.02);
    }
    assert_eq!(count, 15);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
