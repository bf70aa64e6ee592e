//! Energy counters of processor packages ("running average power limit"), as the Linux kernel shows them:
//! <https://docs.kernel.org/power/powercap/powercap.html>. Processors of Intel and AMD have them.

use std::path::PathBuf;
use std::time::Instant;

use super::{Answer, Source, Tree};
use crate::units::Seconds;

const FOLDER: &str = "class/powercap";
const COVERS: &str = "processor package";

/// The counters of all packages.
pub(super) struct Rapl {
    packages: Vec<Package>,
}

struct Package {
    folder: PathBuf,
    name: String,
    last: Result<Count, String>,
}

#[derive(Clone, Copy)]
struct Count {
    microjoules: f64,
    at: Instant,
}

impl Rapl {
    /// Finds the packages and takes the first count.
    pub(super) fn start(tree: &Tree, now: Instant) -> Self {
        let packages = tree
            .entries(FOLDER)
            .into_iter()
            .filter(|folder| {
                // `intel-rapl:0` is a package; `intel-rapl:0:0` is a part of it, and `intel-rapl-mmio:0` the same
                // package by another door.
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                name.strip_prefix("intel-rapl:")
                    .is_some_and(|number| number.parse::<u32>().is_ok())
            })
            .filter_map(|folder| {
                let name = tree.text(&folder.join("name")).unwrap_or_default();
                // Some machines also count the whole platform, of which the packages are a part.
                (name != "psys").then(|| Package {
                    last: count(tree, &folder, now),
                    folder,
                    name,
                })
            })
            .collect();
        Self { packages }
    }

    /// Average power of each package since the last count.
    pub(super) fn read(&mut self, tree: &Tree, now: Instant) -> Vec<Source> {
        if self.packages.is_empty() {
            let folder = tree.root.join(FOLDER);
            return vec![Source {
                sensor: "RAPL".to_owned(),
                covers: COVERS,
                answer: Answer::none(format!(
                    "the kernel shows no energy counter in {}/intel-rapl:0 (virtual machines, processors other than \
                     Intel's and AMD's, and systems other than Linux have none)",
                    folder.display()
                )),
            }];
        }
        self.packages
            .iter_mut()
            .map(|package| Source {
                sensor: format!("RAPL {}", package.name).trim_end().to_owned(),
                covers: COVERS,
                answer: package
                    .read(tree, now)
                    .unwrap_or_else(|reason| Answer::None { reason }),
            })
            .collect()
    }
}

impl Package {
    fn read(&mut self, tree: &Tree, now: Instant) -> Result<Answer, String> {
        let before = std::mem::replace(&mut self.last, count(tree, &self.folder, now));
        let (before, after) = (before?, self.last.clone()?);
        let seconds = after.at.duration_since(before.at).as_secs_f64();
        if seconds <= 0.0 {
            return Err("no time has passed between two counts".to_owned());
        }
        let mut microjoules = after.microjoules - before.microjoules;
        if microjoules < 0.0 {
            // The counter began again at zero. At 200 W that happens every twenty minutes, so more than once in
            // between would take a pause of that length.
            let path = self.folder.join("max_energy_range_uj");
            let range = tree.number(&path)?;
            microjoules += range;
            if microjoules < 0.0 {
                return Err(format!(
                    "the counter in {} stood above its own largest value",
                    self.folder.display()
                ));
            }
        }
        Ok(Answer::positive(
            microjoules * 1e-6 / seconds,
            Some(Seconds(seconds)),
            &format!("the counter in {} stands still", self.folder.display()),
        ))
    }
}

fn count(tree: &Tree, folder: &std::path::Path, at: Instant) -> Result<Count, String> {
    let path = folder.join("energy_uj");
    let microjoules = tree.number(&path).map_err(|reason| {
        if reason.starts_with("no permission") {
            format!(
                "{reason}: only root may since CVE-2020-8694; to allow it until the next start: sudo chmod a+r {}",
                path.display()
            )
        } else {
            reason
        }
    })?;
    if microjoules < 0.0 {
        return Err(format!("{} holds a negative energy", path.display()));
    }
    Ok(Count { microjoules, at })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{Fake, reason};
    use super::*;

    const ZONE: &str = "class/powercap/intel-rapl:0";

    fn machine(energy: &str) -> Fake {
        let fake = Fake::new();
        fake.put(&format!("{ZONE}/name"), "package-0\n");
        fake.put(&format!("{ZONE}/energy_uj"), energy);
        fake.put(&format!("{ZONE}/max_energy_range_uj"), "262143328850\n");
        // A part of the package, the same package again, and the platform around it.
        for (folder, name) in [
            ("intel-rapl:0:0", "core"),
            ("intel-rapl-mmio:0", "package-0"),
            ("intel-rapl:1", "psys"),
        ] {
            fake.put(&format!("class/powercap/{folder}/name"), name);
            fake.put(&format!("class/powercap/{folder}/energy_uj"), "0");
        }
        fake
    }

    /// What is read two seconds after the first count, when the counter has gone from `before` to `after`.
    fn answer(before: &str, after: &str) -> Answer {
        let fake = machine(before);
        let start = Instant::now();
        let mut rapl = Rapl::start(&fake.tree(), start);
        fake.put(&format!("{ZONE}/energy_uj"), after);
        let sources = rapl.read(&fake.tree(), start + Duration::from_secs(2));
        assert_eq!(sources.len(), 1, "{sources:?}");
        assert_eq!(sources[0].sensor, "RAPL package-0");
        sources[0].answer.clone()
    }

    #[test]
    fn power_is_energy_over_time_also_when_the_counter_begins_again() {
        for (before, after) in [
            ("1000000\n", "51000000\n"),
            ("262123328850\n", "30000000\n"),
        ] {
            let watts = answer(before, after).watts().unwrap().0;
            assert!((watts - 25.0).abs() < 1e-6, "{watts}");
        }
    }

    #[test]
    fn no_count_is_a_reason_and_not_a_zero() {
        for (before, after, expected) in [
            ("7\n", "7\n", "stands still"),
            ("7\n", "many\n", "holds 'many', which is no number"),
            ("", "7\n", "holds '', which is no number"),
            ("7\n", "inf", "holds 'inf', which is no number"),
            ("-7\n", "7\n", "holds a negative energy"),
            ("999999999999\n", "7\n", "stood above its own largest value"),
        ] {
            let answer = answer(before, after);
            let reason = reason(&answer);
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn a_missing_permission_names_the_file_and_the_remedy() {
        let fake = machine("7");
        let tree = Tree {
            read: |path| {
                if path.ends_with("energy_uj") {
                    return Err(std::io::ErrorKind::PermissionDenied.into());
                }
                std::fs::read_to_string(path)
            },
            ..fake.tree()
        };
        let now = Instant::now();
        let sources = Rapl::start(&tree, now).read(&tree, now + Duration::from_secs(1));
        let file = tree.root.join(ZONE).join("energy_uj");
        assert_eq!(
            reason(&sources[0].answer),
            format!(
                "no permission to read {0}: only root may since CVE-2020-8694; to allow it until the next start: \
                 sudo chmod a+r {0}",
                file.display()
            )
        );
    }

    #[test]
    fn a_count_that_cannot_be_had_once_is_no_obstacle_later() {
        let fake = machine("nothing");
        let start = Instant::now();
        let mut rapl = Rapl::start(&fake.tree(), start);
        let mut read = |energy: &str, seconds: u64| {
            fake.put(&format!("{ZONE}/energy_uj"), energy);
            let at = start + Duration::from_secs(seconds);
            rapl.read(&fake.tree(), at)[0].answer.watts()
        };
        assert_eq!(read("1000000", 1), None);
        assert!((read("11000000", 2).unwrap().0 - 10.0).abs() < 1e-6);
        assert_eq!(read("12000000", 2), None, "no time has passed");
    }
}
