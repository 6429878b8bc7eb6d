//! The messages of a call: what the model was given and what it said.

use rand::RngExt;

use super::subject::{Kind, Subject, name};
use super::transcript::Transcript;
use crate::model::Timestamp;
use crate::simulator::json::string;
use crate::simulator::object::Object;
use crate::simulator::record::Flavour;

const MODELS: [(&str, &str); 3] = [
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-sonnet-4"),
    ("custom", "größtes/model:\"7b\""),
];

pub(super) struct Message {
    pub(super) role: &'static str,
    id: i64,
    index: i64,
    content: String,
    at: Option<Timestamp>,
    model: Option<(&'static str, &'static str)>,
    /// Tokens of the prompt and of the completion.
    tokens: Option<(i64, i64)>,
}

impl Message {
    pub(super) fn text(&self, call_id: i64, flavour: Flavour) -> String {
        let (prompt, completion) = self.tokens.unzip();
        Object::new(flavour)
            .text("role", Some(self.role))
            .text("content", Some(&self.content))
            .integer("message_index", Some(self.index))
            .date("timestamp", self.at)
            .text("llm_provider", self.model.map(|(provider, _)| provider))
            .text("llm_model", self.model.map(|(_, model)| model))
            .integer("prompt_tokens", prompt)
            .integer("completion_tokens", completion)
            .integer("total_tokens", self.tokens.map(|(one, other)| one + other))
            .integer("id", Some(self.id))
            .integer("call_id", Some(call_id))
            .end()
    }
}

/// The prompt, and what was said for certain during the call; empty if nothing was said.
pub(super) fn invent(call: &Subject<'_>, spoken: &[Transcript]) -> Vec<Message> {
    let mut rng = call.draw(Kind::Messages);
    let model = MODELS[rng.random_range(0..MODELS.len())];
    let prompt = format!(
        "You are {}.\nAnswer in one sentence. {}",
        name(&mut rng),
        "Be kind. ".repeat(rng.random_range(1..300))
    );
    let said = spoken
        .iter()
        .filter(|row| row.is_final && row.created_at <= call.last());
    let said: Vec<(&'static str, String, Option<Timestamp>)> = said
        .map(|row| match row.speaker.as_deref() {
            Some("assistant") => ("assistant", row.content.clone(), Some(row.created_at)),
            Some(_) => ("user", row.content.clone(), Some(row.created_at)),
            None => (
                "tool",
                format!("{{\"result\": {}}}", string(&row.content)),
                None,
            ),
        })
        .collect();
    if said.is_empty() {
        return Vec::new();
    }
    let messages = std::iter::once(("system", prompt, call.begin())).chain(said);
    let messages = messages.enumerate().map(|(index, (role, content, at))| {
        let is_reply = role == "assistant";
        let tokens = (rng.random_range(50..9000), rng.random_range(0..400));
        Message {
            role,
            id: call.id(index),
            // There are hundreds of messages at most.
            index: index as i64,
            content,
            at,
            model: is_reply.then_some(model),
            tokens: is_reply.then_some(tokens),
        }
    });
    messages.collect()
}
