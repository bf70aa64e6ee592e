//! [`Command`]: everything that a button, the menu or a shortcut can ask for. One list feeds all three.

use egui::{Key, KeyboardShortcut, Modifiers};
use wattif_core::data::OwnData;
use wattif_core::model::ModelReference;
use wattif_core::recipe::{Override, Recipe};
use wattif_core::scenario::Scenario;

use super::axis::Axis;
use super::dialogs::Purpose;
use super::hardware::HardwareAction;
use super::notices::Offer;
use super::pages::Page;
use super::pins::PinView;

/// A named thing to do, without arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Choose a model file.
    OpenModel,
    /// Choose a preset file.
    OpenPreset,
    /// Write the current configuration to a preset file.
    SavePreset,
    /// Write the compressed model to a file.
    ExportModel,
    /// Write what the charts show as a table.
    ExportCsv,
    /// Write a picture of the charts.
    ExportPng,
    /// Take the last step back.
    Undo,
    /// Take it forward again.
    Redo,
    /// Everything back to the uncompressed model.
    Reset,
    /// Keep the current configuration as A.
    PinA,
    /// Keep the current configuration as B.
    PinB,
    /// Forget A and B.
    ClearPins,
    /// Go to a page of the centre.
    Show(Page),
    /// Charts and the slider in use, large.
    Present,
    /// From light to dark and back.
    SwitchTheme,
    /// Everything larger.
    LargerText,
    /// Everything smaller.
    SmallerText,
    /// Text at its normal size.
    NormalText,
    /// Fold or unfold the controls.
    ToggleControls,
    /// Fold or unfold what changed.
    ToggleResults,
    /// Time the compressed model with packed weights on this machine.
    MeasureSpeed,
    /// Change the hardware in use, or a copy of it where it ships with the program.
    ChangeHardware,
    /// Measure the constants of this machine.
    MeasureMachine,
    /// Stop the student in training.
    CancelTraining,
    /// Show the list of shortcuts.
    Shortcuts,
}

impl Command {
    /// All of them, in the order of the menu.
    pub const ALL: [Self; 30] = [
        Self::OpenModel,
        Self::OpenPreset,
        Self::SavePreset,
        Self::ExportModel,
        Self::ExportCsv,
        Self::ExportPng,
        Self::Undo,
        Self::Redo,
        Self::Reset,
        Self::PinA,
        Self::PinB,
        Self::ClearPins,
        Self::Show(Page::WhatIf),
        Self::Show(Page::Devices),
        Self::Show(Page::Layers),
        Self::Show(Page::Weights),
        Self::Show(Page::Crossover),
        Self::Show(Page::Validation),
        Self::Present,
        Self::SwitchTheme,
        Self::LargerText,
        Self::SmallerText,
        Self::NormalText,
        Self::ToggleControls,
        Self::ToggleResults,
        Self::MeasureSpeed,
        Self::ChangeHardware,
        Self::MeasureMachine,
        Self::CancelTraining,
        Self::Shortcuts,
    ];

    /// The words on a button or menu line; `…` where a dialog follows.
    pub const fn title(self) -> &'static str {
        match self {
            Self::OpenModel => "Open model…",
            Self::OpenPreset => "Open preset…",
            Self::SavePreset => "Save preset…",
            Self::ExportModel => "Export model…",
            Self::ExportCsv => "Export charts as CSV…",
            Self::ExportPng => "Export charts as PNG…",
            Self::Undo => "Undo",
            Self::Redo => "Redo",
            Self::Reset => "Reset to the original",
            Self::PinA => "Pin as A",
            Self::PinB => "Pin as B",
            Self::ClearPins => "Remove pins",
            Self::Show(page) => page.name(),
            Self::Present => "Present",
            Self::SwitchTheme => "Light or dark",
            Self::LargerText => "Larger text",
            Self::SmallerText => "Smaller text",
            Self::NormalText => "Normal text",
            Self::ToggleControls => "Show controls",
            Self::ToggleResults => "Show results",
            Self::MeasureSpeed => "Measure speed",
            Self::ChangeHardware => "Change the hardware…",
            Self::MeasureMachine => "Measure this machine",
            Self::CancelTraining => "Stop training",
            Self::Shortcuts => "Keyboard shortcuts",
        }
    }

    /// The keys for it.
    pub const fn shortcut(self) -> Option<KeyboardShortcut> {
        const SHIFTED: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);
        let (modifiers, key) = match self {
            Self::OpenModel => (SHIFTED, Key::O),
            Self::OpenPreset => (Modifiers::COMMAND, Key::O),
            Self::SavePreset => (Modifiers::COMMAND, Key::S),
            Self::ExportModel => (SHIFTED, Key::M),
            Self::ExportCsv => (Modifiers::COMMAND, Key::E),
            Self::ExportPng => (SHIFTED, Key::E),
            Self::Undo => (Modifiers::COMMAND, Key::Z),
            Self::Redo => (SHIFTED, Key::Z),
            Self::Reset => (Modifiers::COMMAND, Key::Backspace),
            Self::PinA => (Modifiers::NONE, Key::F2),
            Self::PinB => (Modifiers::NONE, Key::F3),
            Self::ClearPins => (Modifiers::NONE, Key::F4),
            Self::Show(page) => (Modifiers::COMMAND, page.key()),
            Self::Present => (Modifiers::NONE, Key::F5),
            Self::SwitchTheme => (Modifiers::COMMAND, Key::D),
            Self::LargerText => (Modifiers::COMMAND, Key::Plus),
            Self::SmallerText => (Modifiers::COMMAND, Key::Minus),
            Self::NormalText => (Modifiers::COMMAND, Key::Num0),
            Self::ToggleControls => (Modifiers::NONE, Key::F8),
            Self::ToggleResults => (Modifiers::NONE, Key::F9),
            Self::MeasureSpeed => (Modifiers::NONE, Key::F6),
            Self::ChangeHardware => (Modifiers::COMMAND, Key::H),
            Self::MeasureMachine | Self::CancelTraining => return None,
            Self::Shortcuts => (Modifiers::NONE, Key::F1),
        };
        Some(KeyboardShortcut::new(modifiers, key))
    }
}

/// What the panels ask the window to do.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// A named command.
    Run(Command),
    /// Another recipe, and the axis that was moved if it was a slider.
    SetRecipe(Recipe, Option<Axis>),
    /// Something of its own for a layer, and whether that goes on with what was dragged before.
    SetLayer(String, Override, bool),
    /// A look at the layers, one of them more closely.
    Look(Option<String>),
    /// Look at the layers of another recipe.
    LookAt(Recipe),
    /// Another scenario, and the axis that was moved if it was a slider.
    SetScenario(Scenario, Option<Axis>),
    /// Another what-if axis.
    SetAxis(Axis),
    /// Pins in another scenario.
    ShowPins(PinView),
    /// Texts after a prompt.
    Write(String),
    /// Another model.
    SetModel(ModelReference),
    /// Other data to measure on; none for those that ship.
    MeasureOn(Option<OwnData>),
    /// Ask for a file.
    Ask(Purpose),
    /// Something to do with a device.
    Hardware(HardwareAction),
    /// A message was read.
    Dismiss(u64),
    /// What a message offers.
    Offered(Offer),
    /// A message is being read.
    Reading(u64),
    /// The typed answer of the path field that stands in for a file dialog.
    Path(Option<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_commands_share_a_shortcut_or_a_title() {
        for (place, a) in Command::ALL.iter().enumerate() {
            for b in &Command::ALL[place + 1..] {
                assert_ne!(a.title(), b.title());
                if let (Some(x), Some(y)) = (a.shortcut(), b.shortcut()) {
                    assert_ne!(x, y, "{a:?} and {b:?} share a shortcut");
                }
            }
        }
    }

    #[test]
    fn no_shortcut_takes_a_key_from_typing() {
        for command in Command::ALL {
            if let Some(shortcut) = command.shortcut() {
                let function_key = shortcut.logical_key.name().starts_with('F')
                    && shortcut.logical_key.name().len() > 1;
                assert!(
                    function_key || shortcut.modifiers.command,
                    "{command:?} would swallow a plain key"
                );
                for taken in [Key::A, Key::C, Key::V, Key::X] {
                    assert_ne!(
                        shortcut,
                        KeyboardShortcut::new(Modifiers::COMMAND, taken),
                        "{command:?} takes a clipboard key"
                    );
                }
            }
        }
    }
}
