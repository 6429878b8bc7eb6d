//! The shapes of the calls API's answers, as the upstream documents them. What is served is the
//! upstream's own text, so nothing is ever made of these: they are here to be described.

#![expect(dead_code, reason = "fields are described, not read")]

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A call record. What is served is the upstream's own text of it.
#[derive(ToSchema)]
pub struct CallResponse {
    call_sid: String,
    to_phone_number: String,
    customer_phone_number: String,
    call_meta: Option<Map<String, Value>>,
    id: i64,
    assistant_id: i64,
    assistant_name: Option<String>,
    flow_name: Option<String>,
    status: String,
    duration: Option<i64>,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<String>,
    total_cost: Option<f64>,
    llm_cost: Option<f64>,
    tts_cost: Option<f64>,
    stt_cost: Option<f64>,
    telephony_cost: Option<f64>,
    cost_currency: Option<String>,
}

/// A page of calls.
#[derive(ToSchema)]
pub struct PaginatedCallsResponse {
    items: Vec<CallResponse>,
    total: i64,
    skip: i64,
    limit: i64,
}

/// How many calls match.
#[derive(ToSchema)]
pub struct CallCountResponse {
    count: i64,
}

/// All calls, and the durations of those that completed, in seconds.
#[derive(ToSchema)]
pub struct CallStatsResponse {
    total_calls: i64,
    total_duration: i64,
    average_duration: f64,
}

/// The calls of a period, durations in seconds.
#[derive(ToSchema)]
pub struct CallAnalyticsResponse {
    total_calls: i64,
    completed_calls: i64,
    failed_calls: i64,
    ongoing_calls: i64,
    total_duration: f64,
    avg_duration: f64,
    success_rate: f64,
    daily_stats: BTreeMap<String, DailyStat>,
    top_assistants: Vec<AssistantStat>,
}

/// The calls that started on a UTC day.
#[derive(ToSchema)]
pub struct DailyStat {
    total: i64,
    completed: i64,
    failed: i64,
}

/// The calls of an assistant.
#[derive(ToSchema)]
pub struct AssistantStat {
    assistant_id: i64,
    assistant_name: String,
    calls: i64,
    duration: f64,
}

/// Something that was said.
#[derive(ToSchema)]
pub struct TranscriptResponse {
    content: String,
    is_final: Option<bool>,
    speaker: Option<String>,
    segment_start: Option<f64>,
    segment_end: Option<f64>,
    confidence: Option<f64>,
    stt_timestamps: Option<Map<String, Value>>,
    id: i64,
    call_id: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<String>,
}

/// A recording; its audio is below `recording/{recording_id}/play`.
#[derive(ToSchema)]
pub struct RecordingResponse {
    recording_sid: Option<String>,
    file_path: Option<String>,
    recording_url: Option<String>,
    duration: Option<f64>,
    format: Option<String>,
    recording_type: Option<String>,
    recording_source: Option<String>,
    status: Option<String>,
    id: i64,
    call_id: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<String>,
}

/// A message to or from the language model.
#[derive(ToSchema)]
pub struct ChatMessageResponse {
    role: String,
    content: String,
    message_index: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    timestamp: Option<String>,
    llm_provider: Option<String>,
    llm_model: Option<String>,
    prompt_tokens: Option<i64>,
    completion_tokens: Option<i64>,
    total_tokens: Option<i64>,
    id: i64,
    call_id: i64,
}

/// How the conversation went; times in seconds.
#[derive(ToSchema)]
pub struct CallMetricsResponse {
    avg_response_time: f64,
    fastest_response_time: f64,
    response_time_std: f64,
    conversation_flow_score: i64,
    engagement_score: i64,
    user_percentage: i64,
    ai_percentage: i64,
    user_turns: i64,
    ai_turns: i64,
    avg_customer_response_time: f64,
    avg_ai_response_time: f64,
    fastest_customer_response: f64,
    fastest_ai_response: f64,
    slowest_customer_response: f64,
    slowest_ai_response: f64,
    avg_customer_turn_duration: f64,
    avg_ai_turn_duration: f64,
    longest_customer_monologue: f64,
    longest_ai_monologue: f64,
    avg_silence_duration: f64,
    awkward_silences_count: i64,
    total_silence_time: f64,
    silence_percentage: f64,
    total_customer_words: i64,
    total_ai_words: i64,
    customer_words_per_minute: f64,
    ai_words_per_minute: f64,
    avg_customer_words_per_turn: f64,
    avg_ai_words_per_turn: f64,
    total_speaking_time_customer: f64,
    total_speaking_time_ai: f64,
    speaking_time_ratio: f64,
    interruption_count: i64,
    avg_confidence_customer: f64,
    avg_confidence_ai: f64,
    low_confidence_segments_count: i64,
    avg_user_frustration: f64,
    avg_user_stress: f64,
    interaction_sentiment_delta: f64,
    frustration_scores_ts: Vec<BTreeMap<String, f64>>,
    stress_scores_ts: Vec<BTreeMap<String, f64>>,
    price_sensitivity: f64,
    primary_intent: String,
    intent_resolved: bool,
    ai_response_accuracy: f64,
}

/// A webhook that was sent for the call.
#[derive(ToSchema)]
pub struct WebhookLogResponse {
    webhook_url: String,
    webhook_type: String,
    request_payload: Option<Map<String, Value>>,
    response_status_code: Option<i64>,
    response_body: Option<String>,
    response_time_ms: Option<i64>,
    #[schema(value_type = Option<String>, format = DateTime)]
    attempted_at: Option<String>,
    #[schema(required = false)]
    success: bool,
    error_message: Option<String>,
    #[schema(required = false)]
    retry_count: i64,
    webhook_metadata: Option<Map<String, Value>>,
    id: i64,
    call_id: i64,
    assistant_id: i64,
}

/// Metadata to merge; a null takes its key out.
#[derive(ToSchema)]
pub struct UpdateCallMetadataRequest {
    metadata: Map<String, Value>,
}

/// Whose key it is.
#[derive(ToSchema)]
pub struct UserResponse {
    id: i64,
    organization_id: i64,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    full_name: String,
    role: String,
    is_active: bool,
    is_verified: bool,
    #[schema(required = false)]
    is_platform_admin: bool,
    avatar_url: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_login_at: Option<String>,
    login_count: i64,
    preferences: Option<Map<String, Value>>,
    google_id: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// What to change of the user.
#[derive(ToSchema)]
pub struct UpdateUserRequest {
    first_name: Option<String>,
    last_name: Option<String>,
    email: Option<String>,
    preferences: Option<Map<String, Value>>,
}

/// What is wrong with the parameters.
#[derive(ToSchema)]
pub struct HTTPValidationError {
    #[schema(required = false)]
    detail: Vec<ValidationError>,
}

/// One of them.
#[derive(ToSchema)]
pub struct ValidationError {
    loc: Vec<LocationPart>,
    msg: String,
    r#type: String,
}
/// A name, or a place in a list.
#[derive(serde::Serialize, ToSchema)]
#[serde(untagged)]
pub enum LocationPart {
    Name(String),
    Place(i64),
}

/// Why a request got nothing.
#[derive(ToSchema)]
pub struct Detail {
    detail: String,
}
