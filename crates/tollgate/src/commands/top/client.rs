//! One reading of the admin listener, and what may come instead of it.

use std::time::Duration;

use gateway::config::values::Host;
use gateway::status::Status;
use http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::TOKEN;
use super::address::Address;

/// For everything, from the connection to the last byte.
const TIME: Duration = Duration::from_secs(5);

/// Bytes of an answer. The gateway bounds what it lists; this is ten times as much.
const SIZE: usize = 16 * 1024 * 1024;

/// Why there is no reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody answers, for this reason.
    Unreachable(String),
    /// The token is missing or wrong.
    NotAllowed,
    /// Something else answers, or a gateway that is too old.
    NoSuchPage(StatusCode),
    /// An answer that this program does not understand.
    Unreadable(String),
}

impl Trouble {
    /// In a sentence.
    pub(super) fn told(&self, address: &Address) -> String {
        match self {
            Self::Unreachable(why) => format!("cannot reach {address}: {why}"),
            Self::NotAllowed if address.token.is_none() => format!(
                "{address} wants the admin token: give it in the environment as {TOKEN}, with `--token`, or name the \
                 configuration that has it"
            ),
            Self::NotAllowed => format!(
                "{address} does not take this admin token: it is `admin.token` of its configuration, and is given in the \
                 environment as {TOKEN} or with `--token`"
            ),
            Self::NoSuchPage(status) => format!(
                "{address} answers {status} to /status: it is not the admin listener of a Tollgate, or of an older one"
            ),
            Self::Unreadable(why) => {
                format!("{address} answers what this version of Tollgate does not understand: {why}")
            }
        }
    }
}

/// Asks once.
pub(super) async fn ask(address: &Address) -> Result<Status, Trouble> {
    let answer = tokio::time::timeout(TIME, exchange(address)).await;
    let body = answer.unwrap_or_else(|_| Err(Trouble::Unreachable(format!("no answer within {TIME:?}"))))?;
    let mut status: Status =
        serde_json::from_slice(&body).map_err(|error| Trouble::Unreadable(in_plain_words(&error)))?;
    clean(&mut status);
    Ok(status)
}

async fn exchange(address: &Address) -> Result<Bytes, Trouble> {
    let unreachable = |error: &dyn std::fmt::Display| Trouble::Unreachable(error.to_string());
    let url = &address.url;
    let connected = match &url.host {
        Host::Ip(ip) => TcpStream::connect((*ip, url.port)).await,
        Host::Name(name) => TcpStream::connect((name.as_str(), url.port)).await,
        Host::Unix(_) => unreachable!("the address is parsed as one of TCP"),
    };
    let stream = connected.map_err(|error| unreachable(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    let request = request(address)?;
    let exchange = async move {
        let answer = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Trouble::NotAllowed),
            status => return Err(Trouble::NoSuchPage(status)),
        }
        let body = Limited::new(answer.into_body(), SIZE).collect().await;
        Ok(body.map_err(|error| unreachable(&error))?.to_bytes())
    };
    // The exchange says itself how it ended; the connection ends with it.
    let (outcome, _) = tokio::join!(exchange, connection);
    outcome
}

fn request(address: &Address) -> Result<Request<Empty<Bytes>>, Trouble> {
    let request = Request::get(format!("{}/status", address.url.base))
        .header(HOST, address.url.authority())
        .header(ACCEPT, "application/json");
    let request = match &address.token {
        Some(token) => {
            // One that cannot be sent cannot be right.
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| Trouble::NotAllowed)?;
            value.set_sensitive(true);
            request.header(AUTHORIZATION, value)
        }
        None => request,
    };
    request.body(Empty::new()).map_err(|error| Trouble::Unreachable(error.to_string()))
}

/// Takes from texts what a terminal would obey, whoever has sent it.
fn clean(status: &mut Status) {
    for route in &mut status.routes {
        plain(&mut route.name);
        plain(&mut route.api);
        route.services.iter_mut().for_each(plain);
    }
    for service in &mut status.services {
        plain(&mut service.name);
        plain(&mut service.balance);
        service.endpoints.iter_mut().for_each(|endpoint| plain(&mut endpoint.url));
    }
    plain(&mut status.version);
}

/// What is wrong, without what a terminal would obey: it may quote what was sent.
fn in_plain_words(error: &serde_json::Error) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(200).collect()
}

fn plain(text: &mut String) {
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, "?");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway::status::RouteStatus;

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        let route = RouteStatus {
            name: "GET /\u{1b}[2Jx".to_owned(),
            services: vec!["a\u{7}\u{9b}".to_owned()],
            ..RouteStatus::default()
        };
        let mut status = Status { version: "0.1\n".to_owned(), routes: vec![route], ..Status::default() };
        clean(&mut status);
        assert_eq!(status.routes[0].name, "GET /?[2Jx");
        assert_eq!(status.routes[0].services, ["a??"]);
        assert_eq!(status.version, "0.1?");
    }
}
