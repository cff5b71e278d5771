//! `/tokens`: who may use this API. For admins.

use ackord_entities::ids::ApiTokenId;
use ackord_entities::jobs::check;
use ackord_entities::queue::api_token::{self, ApiRole};
use ackord_producer::operate::{TokenRequest, create_token, revoke_token};
use ackord_producer::story::TokenView;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::jobs::Why;
use crate::api::Api;
use crate::body::{self, MaybeJson, Named, Params};
use crate::caller::Admin;
use crate::cursor::{List, Page, limit};
use crate::problem::Problem;

const LONGEST_NAME: usize = 200;

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TokensQuery {
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page: 1 to 200, usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// List the tokens, newest first, also those that do not count any more. What makes them work is stored nowhere.
#[utoipa::path(
    get,
    path = "/tokens",
    tag = "tokens",
    params(TokensQuery),
    responses((status = 200, description = "A page of tokens", body = Page<TokenView>)),
    security(("token" = ["admin"]))
)]
pub(crate) async fn list(
    Admin(_): Admin,
    State(api): State<Api>,
    Params(query): Params<TokensQuery>,
) -> Result<Json<Page<TokenView>>, Problem> {
    let size = limit(query.limit)?;
    let list = List::new("tokens", &());
    let before = list.id(query.cursor.as_deref())?.map(ApiTokenId);
    let read = api.database().read();
    let now = api.database().clock().now(read).await?;
    let rows = api_token::list(read, before, size + 1).await?;
    let page = list.page(rows, size, |row| row.id.0.as_bytes().to_vec());
    Ok(Json(page.map(|row| TokenView::new(row, now))))
}

/// A token.
#[utoipa::path(
    get,
    path = "/tokens/{id}",
    tag = "tokens",
    params(("id" = ApiTokenId, Path, description = "The token")),
    responses((status = 200, description = "The token", body = TokenView)),
    security(("token" = ["admin"]))
)]
pub(crate) async fn show(
    Admin(_): Admin,
    State(api): State<Api>,
    Named(id): Named<ApiTokenId>,
) -> Result<Json<TokenView>, Problem> {
    let read = api.database().read();
    let now = api.database().clock().now(read).await?;
    let row = api_token::by_id(read, id).await?.ok_or_else(|| no_such_token(id))?;
    Ok(Json(TokenView::new(row, now)))
}

/// A token that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// Its name: one line, never used before, also not by a token that was revoked.
    #[schema(min_length = 1, max_length = 200, example = "night-shift")]
    name: String,
    /// How far it goes.
    role: ApiRole,
    /// Whose token it is: private syntheses belong to a subject.
    #[schema(min_length = 1, max_length = 200)]
    subject: Option<String>,
    /// From when on it is worth nothing; without it, it counts until it is revoked.
    expires_at: Option<DateTime<Utc>>,
    /// Why, for the audit.
    reason: Option<String>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeToken {
    #[serde(flatten)]
    view: TokenView,
    /// The token itself: shown this once.
    token: String,
}

/// Make a token. It is in this answer and nowhere else, so there is no `Idempotency-Key` here: a name is taken once.
#[utoipa::path(
    post,
    path = "/tokens",
    tag = "tokens",
    request_body(content = NewToken),
    responses(
        (status = 201, description = "It is made and counts; `Location` is where it is shown, without itself", body = MadeToken, headers(("location" = String))),
        (status = 409, description = "There is, or was, a token of that name (`name_taken`)"),
    ),
    security(("token" = ["admin"]))
)]
pub(crate) async fn create(
    Admin(caller): Admin,
    State(api): State<Api>,
    body::Json(wish): body::Json<NewToken>,
) -> Result<Response, Problem> {
    one_line("name", &wish.name)?;
    if let Some(subject) = &wish.subject {
        one_line("subject", subject)?;
    }
    let operator = caller.operator(wish.reason);
    let made = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        if wish.expires_at.is_some_and(|end| end <= now || end.year() > 9999) {
            return Err(Problem::invalid("expires_at", "give a moment to come, up to the year 9999"));
        }
        let request = TokenRequest {
            name: &wish.name,
            role: wish.role,
            subject: wish.subject.as_deref(),
            expires_at: wish.expires_at,
        };
        let Some((id, secret)) = create_token(&tx, request, &operator, now).await? else {
            let detail = format!("there is, or was, a token `{}`: give another name", wish.name);
            return Err(Problem::conflict("name_taken", detail).at("name"));
        };
        let row = api_token::by_id(&tx, id).await?.ok_or_else(Problem::internal)?;
        tx.commit().await?;
        Ok(MadeToken { view: TokenView::new(row, now), token: secret.reveal().to_owned() })
    };
    let made = api.database().within_limit(made).await?;
    let location = [(header::LOCATION, format!("/api/v1/tokens/{}", made.view.id))];
    Ok((StatusCode::CREATED, location, Json(made)).into_response())
}

fn one_line(field: &str, text: &str) -> Result<(), Problem> {
    check::line(field, text, LONGEST_NAME).map_err(|invalid| Problem::invalid(invalid.field, invalid.reason))
}

/// What a verb did to a token.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenDone {
    /// As it is now.
    token: TokenView,
    /// Whether that is new.
    changed: bool,
}

/// Revoke a token: it counts no more from the next request on. Not the one that this is asked with, so that nobody shuts himself out.
#[utoipa::path(
    post,
    path = "/tokens/{id}/revoke",
    tag = "tokens",
    params(("id" = ApiTokenId, Path, description = "The token")),
    request_body(content = Option<Why>),
    responses(
        (status = 200, description = "It does not count", body = TokenDone),
        (status = 409, description = "It is the one that this is asked with (`own_token`)"),
    ),
    security(("token" = ["admin"]))
)]
pub(crate) async fn revoke(
    Admin(caller): Admin,
    State(api): State<Api>,
    Named(id): Named<ApiTokenId>,
    MaybeJson(why): MaybeJson<Why>,
) -> Result<Json<TokenDone>, Problem> {
    if caller.token == Some(id) {
        let detail =
            "it is the token that this is asked with: ask with another one, or `ackord tokens revoke`";
        return Err(Problem::conflict("own_token", detail));
    }
    let operator = caller.operator(why.reason);
    let revoked = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let row = api_token::by_id(&tx, id).await?.ok_or_else(|| no_such_token(id))?;
        let changed = revoke_token(&tx, &row, &operator, now).await?;
        let row = api_token::by_id(&tx, id).await?.ok_or_else(|| no_such_token(id))?;
        tx.commit().await?;
        Ok::<_, Problem>(TokenDone { token: TokenView::new(row, now), changed })
    };
    Ok(Json(api.database().within_limit(revoked).await?))
}

fn no_such_token(id: ApiTokenId) -> Problem {
    Problem::not_found(format!("there is no token {id}"))
}
