//! How a server of the fleet's Redis is connected to, and what all these connections have in common. Only the control plane connects.

use std::cmp::Reverse;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, RedisConnectionInfo, RedisError, Value, cmd, pipe};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::fleet::Fleet;
use crate::config::values::{Host, RedisServer, Secret};
use crate::config::{Cluster, Protocols};
use crate::tls::ClientTls;

/// What connections to the servers of one Redis have in common.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) config: Cluster,
    /// Where the URL asks for it.
    pub(super) tls: Option<Arc<ClientTls>>,
    /// The gateways that count together over it.
    pub(super) fleet: Fleet,
    pub(super) counts: Arc<Counts>,
}

/// What was counted since the process began.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) commands: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) timeouts: AtomicU64,
    /// Microseconds that answers took, in all.
    pub(super) micros: AtomicU64,
    /// What requests have cost, of which it was not told.
    pub(super) lost_charges: AtomicU64,
    /// Connections that were made.
    pub(super) connections: AtomicU64,
}

/// A connection, which ends with its last handle.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    commands: MultiplexedConnection,
    _task: Arc<Task>,
}

/// What reads and writes.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    /// One that waits for an answer would do so for as long as the server stands still.
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The least time that a connection has to come about.
const TO_CONNECT: Duration = Duration::from_secs(1);
/// Commands on their way to the connection's task: whoever finds no room there waits until one has gone.
const ON_THEIR_WAY: usize = 1024;

impl Setup {
    /// Connects to a server, as the user that the configuration names.
    pub(super) async fn connect(&self, server: &RedisServer) -> Result<Connection, RedisError> {
        let Cluster { redis, user, password, .. } = &self.config;
        let mut settings = RedisConnectionInfo::default().set_db(i64::from(redis.value.database));
        if let Some(user) = user {
            settings = settings.set_username(user);
        }
        self.open(server, with_password(settings, password.as_ref())).await
    }

    /// The servers that sentinels call the master of this name and how many do, the most first, as soon as most sentinels agree; or why none
    /// says anything.
    pub(super) async fn masters(
        &self,
        sentinels: &[RedisServer],
        name: &str,
    ) -> Result<Vec<(RedisServer, usize)>, RedisError> {
        let mut asked: FuturesUnordered<_> =
            sentinels.iter().map(|sentinel| self.master(sentinel, name)).collect();
        let mut masters: Vec<(RedisServer, usize)> = Vec::new();
        let mut why = None;
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(master) => match masters.iter_mut().find(|(known, _)| *known == master) {
                    Some((_, votes)) => *votes += 1,
                    None => masters.push((master, 1)),
                },
                Err(error) => why = Some(more_telling(why, error)),
            }
            if masters.iter().any(|(_, votes)| votes * 2 > sentinels.len()) {
                break;
            }
        }
        masters.sort_by_key(|(_, votes)| Reverse(*votes));
        if masters.is_empty() {
            return Err(why.unwrap_or_else(|| unusable("there are no sentinels".to_owned())));
        }
        Ok(masters)
    }

    /// The server that a sentinel calls the master of this name.
    async fn master(&self, sentinel: &RedisServer, name: &str) -> Result<RedisServer, RedisError> {
        let settings = with_password(RedisConnectionInfo::default(), self.config.sentinel_password.as_ref());
        let connection = self.open(sentinel, settings).await?;
        let mut command = cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let Value::Array(place) = connection.ask(&command, false, TO_CONNECT).await? else {
            return Err(unusable(format!("the sentinel {sentinel} knows no master {name}")));
        };
        let master = match &*place {
            [Value::BulkString(host), Value::BulkString(port)] => server_at(host, port),
            _ => None,
        };
        master.ok_or_else(|| unusable(format!("the sentinel {sentinel} says nothing that makes sense")))
    }

    async fn open(
        &self,
        server: &RedisServer,
        settings: RedisConnectionInfo,
    ) -> Result<Connection, RedisError> {
        let limit = TO_CONNECT.max(*self.config.timeout);
        let opened = async {
            match &server.host {
                Host::Unix(path) => start(UnixStream::connect(path.as_path()).await?, settings).await,
                Host::Ip(ip) => {
                    self.secure(TcpStream::connect((*ip, server.port)).await?, server, settings).await
                }
                Host::Name(name) => {
                    self.secure(TcpStream::connect((&**name, server.port)).await?, server, settings).await
                }
            }
        };
        tokio::time::timeout(limit, opened).await.unwrap_or_else(|_| Err(timed_out()))
    }

    async fn secure(
        &self,
        socket: TcpStream,
        server: &RedisServer,
        settings: RedisConnectionInfo,
    ) -> Result<Connection, RedisError> {
        socket.set_nodelay(true)?;
        if !self.config.redis.value.is_tls {
            return start(socket, settings).await;
        }
        // Never in clear, whatever became of the files that are named for it.
        let tls = self.tls.as_ref().ok_or_else(|| unusable("no TLS is configured".to_owned()))?;
        let name = tls.server_name(&server.host);
        let name =
            name.map_err(|_| unusable(format!("{server} has no name that can be asked for in TLS")))?;
        start(TlsConnector::from(tls.config(Protocols::NONE)).connect(name, socket).await?, settings).await
    }
}

async fn start(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    settings: RedisConnectionInfo,
) -> Result<Connection, RedisError> {
    let config =
        AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(ON_THEIR_WAY);
    let settings = settings.set_skip_set_lib_name();
    let (commands, work) = MultiplexedConnection::new_with_config(&settings, stream, config).await?;
    Ok(Connection { commands, _task: Arc::new(Task(tokio::spawn(work))) })
}

fn with_password(settings: RedisConnectionInfo, password: Option<&Secret>) -> RedisConnectionInfo {
    match password {
        Some(password) => settings.set_password(password.expose()),
        None => settings,
    }
}

impl Connection {
    /// Sends a command and waits for its answer, so long at most; `is_asking` where another node has sent us there for once.
    pub(super) async fn ask(
        &self,
        command: &Cmd,
        is_asking: bool,
        limit: Duration,
    ) -> Result<Value, RedisError> {
        let mut commands = self.commands.clone();
        let answered = async {
            if !is_asking {
                return commands.send_packed_command(command).await;
            }
            let mut both = pipe();
            both.cmd("ASKING").add_command(command.clone());
            let answer = commands.send_packed_commands(&both, 1, 1).await?.pop();
            answer.ok_or_else(|| unusable("there was no answer".to_owned()))
        };
        let answer = tokio::time::timeout(limit, answered).await.unwrap_or_else(|_| Err(timed_out()));
        answer.and_then(Value::extract_error)
    }
}

impl Counts {
    pub(super) fn failed(&self, error: &RedisError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.timeouts.fetch_add(u64::from(error.is_timeout()), Ordering::Relaxed);
    }
}

/// A server as Redis names one.
pub(super) fn server_at(host: &[u8], port: &[u8]) -> Option<RedisServer> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    RedisServer::at(text(host)?, text(port)?.parse().ok()?)
}

/// The reason that says more: it is no news of one of several servers that nobody is there.
pub(super) fn more_telling(one: Option<RedisError>, other: RedisError) -> RedisError {
    let is_gone = other.is_connection_refusal() || other.is_timeout();
    one.filter(|_| is_gone).unwrap_or(other)
}

/// That something cannot be used, and why.
pub(super) fn unusable(why: String) -> RedisError {
    RedisError::from((ErrorKind::Io, "it cannot be used", why))
}

fn timed_out() -> RedisError {
    RedisError::from(io::Error::from(io::ErrorKind::TimedOut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_reasons_one_is_told_that_is_more_than_that_nobody_is_there() {
        let refused = RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        let wrong = || unusable("it speaks no TLS".to_owned());
        let told = |one, other| more_telling(one, other).to_string();
        for gone in [refused, timed_out()] {
            assert_eq!(told(None, gone.clone()), gone.to_string());
            assert_eq!(told(Some(wrong()), gone.clone()), wrong().to_string());
            assert_eq!(told(Some(gone), wrong()), wrong().to_string());
        }
    }
}
