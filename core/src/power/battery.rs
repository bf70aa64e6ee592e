//! Discharge of the batteries, which is the power of the whole machine while no charger helps:
//! <https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-class-power>.

use std::path::Path;

use super::{Answer, Source, Tree};

const FOLDER: &str = "class/power_supply";

/// What the batteries say.
pub(super) fn read(tree: &Tree) -> Source {
    Source {
        sensor: "battery".to_owned(),
        covers: "whole machine",
        answer: discharge(tree).unwrap_or_else(|reason| Answer::None { reason }),
    }
}

fn discharge(tree: &Tree) -> Result<Answer, String> {
    let is = |folder: &Path, file: &str, value: &str| {
        tree.text(&folder.join(file))
            .is_ok_and(|text| text == value)
    };
    let batteries: Vec<_> = tree
        .entries(FOLDER)
        .into_iter()
        // A mouse has a battery too; its scope says that it feeds a device.
        .filter(|folder| is(folder, "type", "Battery") && !is(folder, "scope", "Device"))
        .collect();
    if batteries.is_empty() {
        return Err(format!(
            "the kernel shows no battery in {}",
            tree.root.join(FOLDER).display()
        ));
    }
    // A charging battery says what it takes in, and the charger says nothing.
    for battery in &batteries {
        let status = tree.text(&battery.join("status"))?;
        if ["Charging", "Full", "Not charging"].contains(&status.as_str()) {
            return Err(format!(
                "the machine runs on its charger, which is not measured ({} says {status})",
                battery.join("status").display()
            ));
        }
    }
    let mut watts = 0.0;
    let mut discharging = false;
    for battery in &batteries {
        if is(battery, "status", "Discharging") {
            discharging = true;
            watts += power(tree, battery)?;
        }
    }
    if !discharging {
        return Err("no battery says that it is discharging".to_owned());
    }
    Ok(Answer::positive(
        watts,
        None,
        "the battery is discharging but reports no power",
    ))
}

/// Watts that a battery gives off: its own figure in µW, else voltage (µV) × current (µA).
fn power(tree: &Tree, battery: &Path) -> Result<f64, String> {
    let direct = battery.join("power_now");
    // Some drivers count what flows out as negative.
    if direct.exists() {
        return Ok(tree.number(&direct)?.abs() * 1e-6);
    }
    let voltage = tree.number(&battery.join("voltage_now"))?;
    let current = tree.number(&battery.join("current_now"))?;
    Ok((voltage * current).abs() * 1e-12)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fake, reason};
    use super::*;

    fn machine(files: &[(&str, &str)]) -> Fake {
        let fake = Fake::new();
        for (file, text) in files {
            fake.put(&format!("{FOLDER}/{file}"), text);
        }
        fake
    }

    const BATTERY: (&str, &str) = ("BAT0/type", "Battery\n");
    const DISCHARGING: (&str, &str) = ("BAT0/status", "Discharging\n");

    #[test]
    fn discharge_is_power_or_voltage_times_current() {
        let cases: [&[(&str, &str)]; 3] = [
            &[("BAT0/power_now", "12500000\n")],
            &[
                ("BAT0/voltage_now", "12500000\n"),
                ("BAT0/current_now", "-1000000\n"),
            ],
            // Two batteries, and a mouse that is discharging as well.
            &[
                ("BAT0/power_now", "10000000"),
                ("BAT1/type", "Battery"),
                ("BAT1/status", "Discharging"),
                ("BAT1/power_now", "2500000"),
                ("mouse/type", "Battery"),
                ("mouse/scope", "Device"),
                ("mouse/status", "Discharging"),
                ("AC/type", "Mains"),
            ],
        ];
        for files in cases {
            let fake = machine(&[&[BATTERY, DISCHARGING], files].concat());
            let watts = read(&fake.tree()).answer.watts().unwrap().0;
            assert!((watts - 12.5).abs() < 1e-9, "{watts}");
        }
    }

    #[test]
    fn no_discharge_is_a_reason_and_not_a_zero() {
        let power = ("BAT0/power_now", "9000000");
        let cases: [(&[(&str, &str)], &str); 6] = [
            (&[("AC/type", "Mains")], "shows no battery"),
            (
                &[BATTERY, ("BAT0/status", "Charging"), power],
                "runs on its charger",
            ),
            (
                &[BATTERY, ("BAT0/status", "Unknown"), power],
                "no battery says that it is discharging",
            ),
            (
                &[BATTERY, DISCHARGING, ("BAT0/power_now", "0")],
                "reports no power",
            ),
            (
                &[BATTERY, DISCHARGING, ("BAT0/power_now", "much")],
                "holds 'much', which is no number",
            ),
            (&[BATTERY, DISCHARGING], "voltage_now cannot be read"),
        ];
        for (files, expected) in cases {
            let answer = read(&machine(files).tree()).answer;
            assert!(reason(&answer).contains(expected), "{answer:?}");
        }
    }
}
