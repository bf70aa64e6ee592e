//! Texts after a prompt of the user's: what was asked for, what came of it, and whether that still holds.

use wattif_core::measurement::Example;
use wattif_core::recipe::Recipe;

use super::App;

/// The prompt, the texts under way and the last ones.
#[derive(Debug, Default)]
pub(super) struct Prompting {
    /// What was entered last; empty before that.
    prompt: String,
    /// Key of the recipe and the prompt that texts were asked for.
    asked: Option<(String, String)>,
    /// What was written, and the key of its recipe.
    last: Option<(String, Example)>,
}

impl Prompting {
    /// Whether texts are being written.
    pub(super) fn is_running(&self) -> bool {
        self.asked.is_some()
    }

    /// What was asked for came, or was given up.
    pub(super) fn arrived(&mut self, recipe: &Recipe, text: Option<Example>) {
        if self.asked.take().is_some()
            && let Some(text) = text
        {
            self.last = Some((recipe.key(), text));
        }
    }

    /// The last texts, and whether they are of this recipe.
    pub(super) fn last(&self, recipe: &Recipe) -> Option<(&Example, bool)> {
        let (key, text) = self.last.as_ref()?;
        Some((text, *key == recipe.key()))
    }
}

impl App {
    /// Whether the open model writes texts that can be asked for.
    pub(super) fn writes_texts(&self) -> bool {
        let backend = self.model.backend.as_ref();
        backend.is_some_and(|backend| backend.writes()) && !self.stands_in()
    }

    /// Asks for texts after a prompt.
    pub(super) fn write_after(&mut self, prompt: String) {
        self.model.prompting.prompt = prompt;
        self.write_again();
    }

    /// Asks for texts after the same prompt, where those of the current recipe are not there.
    pub(super) fn write_again(&mut self) {
        let recipe = self.session.configuration.recipe;
        let prompting = &self.model.prompting;
        let wanted = (recipe.key(), prompting.prompt.clone());
        let is_there = prompting.last.as_ref().is_some_and(|(key, text)| {
            *key == wanted.0 && matches!(text, Example::Text { prompt, .. } if *prompt == wanted.1)
        });
        if wanted.1.is_empty() || is_there || prompting.asked.as_ref() == Some(&wanted) {
            return;
        }
        if !self.writes_texts() {
            return;
        }
        if let Some(backend) = &mut self.model.backend {
            backend.write(recipe, wanted.1.clone());
            self.model.prompting.asked = Some(wanted);
            self.model.activity.idle = false;
        }
    }
}
