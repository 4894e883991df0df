//! Serves a configuration: starts the data plane and the control plane, reloads, and stops when told to.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use control::{
    AdminState, Binary, Checks, Control, Discoverer, Envoy, Expiry, Notifier, Readiness, Reload, Reloader,
    Sharing, Signal, Store, Token, Watch,
};
use gateway::config::values::{Secret, TcpAddress};
use gateway::config::{Config, Outline};
use gateway::tls::Certificate;
use gateway::upstream::catalog::Catalog;

use crate::commands::Failure;
use crate::engine::{Engine, Listening, Refused};
use crate::origin::{Compiled, Origin};
use crate::terminal::note;
use crate::upgrade::{Inheritance, Upgrade};

/// How long a start, or a reload, waits for the endpoints that are looked for.
const SEARCH_BEFORE_START: Duration = Duration::from_secs(5);
const SEARCH_BEFORE_RELOAD: Duration = Duration::from_secs(2);

/// How long either waits for what the fleet shares.
const CONNECT_BEFORE: Duration = Duration::from_secs(1);

/// Changes that a reload tells at most; `tollgate diff` tells all.
const CHANGES_SHOWN: usize = 20;

/// From when memory is free until the allocator gives it back, with room to spare.
const GIVEN_BACK_AFTER: Duration = Duration::from_millis(1500);

/// Serves until a signal ends it. `workers` comes before what the configuration says; `once_ready` is called when
/// every listener accepts.
pub(crate) fn serve(
    origin: Origin,
    workers: Option<u32>,
    once_ready: impl FnOnce(),
) -> Result<ExitCode, Failure> {
    let binary = Binary::of_this_process();
    let mut inheritance = Inheritance::take()?;
    let notifier = Arc::new(Notifier::of_process());
    let mut watch = Watch::default();
    watch.extend(origin.path().map(PathBuf::from));
    let begun = SystemTime::now();
    let Compiled { config, snapshot, warnings: _ } = aside(|| origin.compile_and_show())?;
    watch.extend_read(config.files().iter().cloned(), begun);

    let control = Control::start().map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let (events, inbox) = mpsc::channel();
    let signals = events.clone();
    let passed_on = move |signal| {
        // The receiver is gone only when the process is about to end.
        let _ = signals.send(Event::Signal(signal));
    };
    control.on_signal(passed_on).map_err(|error| Failure::new(format!("cannot catch signals: {error}")))?;

    // What can fail comes before the workers accept: a process that ends after that cuts off whom it has accepted.
    let admin = match &config.admin {
        Some(admin) => Some(bind_admin(admin.address.value.socket(), &mut inheritance)?),
        None => None,
    };
    let catalog = Arc::new(Catalog::new(std::mem::take(&mut inheritance.found)));
    let discoverer = Arc::new(control.discoverer(Arc::clone(&catalog)));
    discoverer.prepare(&snapshot, SEARCH_BEFORE_START);
    let envoy = control.envoy();
    envoy.serve(&snapshot);
    let sharing = Arc::new(control.sharing());
    sharing.prepare(&snapshot, CONNECT_BEFORE);
    let store = Arc::new(Store::default());
    store.prepare(&snapshot).and_then(|()| store.put_in_force(&snapshot)).map_err(Failure::new)?;
    let count = count(&config, workers);
    let engine = Arc::new(Engine::start(snapshot, count, Arc::clone(&catalog), &mut inheritance.listeners)?);
    note_listeners(&[], &engine.listening());
    if let Origin::Target { url, .. } = &origin {
        note(&format!("everything goes to {url}"));
    }
    let readiness = Arc::new(Readiness::new());
    readiness.set_process(inheritance.generation());
    let running = Running {
        checks: Arc::new(control.checks(Arc::clone(engine.healths()))),
        discoverer,
        envoy,
        sharing,
        store,
        engine: Arc::clone(&engine),
        readiness,
        token: Arc::new(Token::new(admin_token(&config))),
        notifier,
        upgrade: Arc::new(Upgrade {
            binary,
            engine,
            catalog,
            admin,
            generation: inheritance.generation(),
            changes: Arc::default(),
            is_cancelled: AtomicBool::new(false),
        }),
        control,
    };
    running.serve_admin()?;
    running.readiness.loaded(SystemTime::now());
    watch_certificates(&running.engine, &running.readiness);
    running.checks.apply(|| running.engine.services());
    let (found_in, checks) = (Arc::clone(&running.engine), Arc::clone(&running.checks));
    running.discoverer.on_change(move || {
        if found_in.apply_found() {
            checks.apply(|| found_in.services());
        }
    });
    running.control.remind(Arc::clone(&running.readiness), SystemTime::now, note);
    let reloader = running.watch(watch, origin, config)?;
    // Nothing can fail any more.
    running.engine.own_files();
    note("ready");
    if inheritance.is_successor() {
        // systemd hears of it from the process that it knows.
        note(&format!("took over, as process {}", std::process::id()));
    } else {
        running.notifier.ready();
    }
    running.engine.own_files();
    inheritance.ready();
    once_ready();
    Ok(running.until_stopped(&inbox, &events, reloader))
}

fn bind_admin(
    address: SocketAddr,
    inheritance: &mut Inheritance,
) -> Result<(SocketAddr, TcpListener), Failure> {
    if let Some(listener) = inheritance.take_admin(address) {
        return Ok((address, listener));
    }
    let listener = TcpListener::bind(address).map_err(|error| cannot_listen(address, &error))?;
    Ok((address, listener))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::AddrInUse => Failure::new(format!(
            "the admin address {address} is taken by another program, perhaps another tollgate\n\
             \n  Choose another with `admin: 127.0.0.1:9901`, or do without: `admin: off`."
        )),
        _ => Failure::new(format!("cannot listen on the admin address {address}: {error}")),
    }
}

/// What the main thread waits for.
enum Event {
    Signal(Signal),
    /// The next process serves, or this is why it does not.
    Upgraded(Result<u32, String>),
    /// The last exchange has ended, or what still ran was cut off.
    Drained {
        is_complete: bool,
    },
}

/// A gateway that serves.
struct Running {
    engine: Arc<Engine>,
    checks: Arc<Checks>,
    discoverer: Arc<Discoverer>,
    envoy: Envoy,
    sharing: Arc<Sharing>,
    store: Arc<Store>,
    readiness: Arc<Readiness>,
    token: Arc<Token>,
    notifier: Arc<Notifier>,
    upgrade: Arc<Upgrade>,
    control: Control,
}

/// How far a gateway has come on the way to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Upgrading,
    Draining,
}

impl Running {
    fn serve_admin(&self) -> Result<(), Failure> {
        let Some((address, listener)) = &self.upgrade.admin else { return Ok(()) };
        let [counted, looked, spent, signing] = std::array::from_fn(|_| Arc::clone(&self.engine));
        let state = AdminState {
            metrics: Arc::new(move || counted.metrics()),
            status: Arc::new(move || looked.status()),
            quotas: Arc::new(move |question| spent.quotas(question)),
            keys: Arc::new(move || signing.public_keys()),
            readiness: Arc::clone(&self.readiness),
            token: Arc::clone(&self.token),
        };
        let served = listener.try_clone().and_then(|listener| self.control.serve_admin(listener, state));
        let bound = served.map_err(|error| cannot_listen(*address, &error))?;
        note(&format!("admin on {bound}"));
        Ok(())
    }

    /// Reloads when the file changes or a signal asks for it. What comes from the command line cannot change.
    fn watch(&self, watch: Watch, origin: Origin, config: Config) -> Result<Option<Reloader>, Failure> {
        let Some(path) = origin.path().map(PathBuf::from) else { return Ok(None) };
        let engine = Arc::clone(&self.engine);
        let checks = Arc::clone(&self.checks);
        let (discoverer, envoy) = (Arc::clone(&self.discoverer), self.envoy.clone());
        let (sharing, store) = (Arc::clone(&self.sharing), Arc::clone(&self.store));
        let readiness = Arc::clone(&self.readiness);
        let token = Arc::clone(&self.token);
        let changes = Arc::clone(&self.upgrade.changes);
        let mut current = InForce::of(&config);
        drop(config);
        let mut load =
            move || match load_again(&origin, &engine, (&discoverer, &envoy, &sharing, &store), &current) {
                Ok((config, before)) => {
                    note_listeners(&before.listening, &engine.listening());
                    note_certificates(&before.certificates, &engine);
                    token.replace(admin_token(&config));
                    let next = InForce::of(&config);
                    // The reloader counts it when this has returned.
                    let generation = readiness.generation() + 1;
                    note(&format!("reloaded {origin} (generation {generation}){}", told(&current, &next)));
                    watch_certificates(&engine, &readiness);
                    checks.apply(|| engine.services());
                    let files = std::iter::once(path.clone()).chain(config.files().iter().cloned()).collect();
                    current = next;
                    Reload { files, result: Ok(()) }
                }
                Err(Refused { error, files }) => {
                    note(&format!("kept the configuration in force, because {origin} is refused\n{error}"));
                    let files = std::iter::once(path.clone()).chain(files).collect();
                    Reload { files, result: Err(error) }
                }
            };
        let notifier = Arc::clone(&self.notifier);
        let engine = Arc::clone(&self.engine);
        let reload = move || {
            // Not while another process is starting with the listeners that this one has.
            let _held = changes.lock().unwrap_or_else(PoisonError::into_inner);
            // What was asked for meanwhile is for that one then, and so is systemd's ear.
            if engine.is_ending() {
                return Reload { files: Vec::new(), result: Err("the gateway is draining".to_owned()) };
            }
            notifier.reloading();
            let reload = aside(&mut load);
            if !engine.is_ending() {
                notifier.ready();
            }
            reload
        };
        Reloader::start(watch, Arc::clone(&self.readiness), reload)
            .map(Some)
            .map_err(|error| Failure::new(format!("cannot start threads: {error}")))
    }

    /// Waits for signals and does what they ask, until the gateway has stopped.
    fn until_stopped(
        &self,
        inbox: &Receiver<Event>,
        events: &Sender<Event>,
        mut reloader: Option<Reloader>,
    ) -> ExitCode {
        let mut phase = Phase::Serving;
        let mut upgrading: Option<JoinHandle<()>> = None;
        let code = loop {
            // Never disconnected: `events` lives as long as this call.
            match inbox.recv() {
                Ok(Event::Signal(Signal::Reload)) => {
                    self.engine.reopen_logs();
                    if let Some(reloader) = &reloader {
                        reloader.now();
                    }
                }
                Ok(Event::Signal(Signal::Upgrade)) => match phase {
                    Phase::Serving => {
                        phase = Phase::Upgrading;
                        let (upgrade, events) = (Arc::clone(&self.upgrade), events.clone());
                        upgrading = Some(thread::spawn(move || {
                            let _ = events.send(Event::Upgraded(upgrade.run()));
                        }));
                    }
                    Phase::Upgrading => note("an upgrade is under way already"),
                    Phase::Draining => note("no upgrade: the gateway is draining"),
                },
                Ok(Event::Upgraded(Ok(pid))) if phase == Phase::Draining => {
                    note(&format!(
                        "process {pid} took over as the gateway was told to stop: stop that one too"
                    ));
                }
                Ok(Event::Upgraded(Ok(pid))) => {
                    phase = Phase::Draining;
                    self.notifier.handed_over(pid);
                    self.control.close_admin();
                    reloader = None;
                    self.drain(events, &format!("process {pid} has taken over; draining"));
                }
                Ok(Event::Upgraded(Err(why))) => {
                    note(&format!("no upgrade, this process goes on serving: {why}"));
                    if phase == Phase::Upgrading {
                        phase = Phase::Serving;
                    }
                }
                // After an upgrade it is on its way already; only the next one hurries it.
                Ok(Event::Signal(Signal::Drain)) if phase == Phase::Draining => {}
                Ok(Event::Signal(Signal::Drain)) => {
                    phase = Phase::Draining;
                    self.upgrade.is_cancelled.store(true, Ordering::Release);
                    self.notifier.stopping();
                    reloader = None;
                    self.drain(events, "draining");
                }
                Ok(Event::Drained { is_complete }) => {
                    note(if is_complete { "stopped" } else { "stopped; what still ran was cut off" });
                    break ExitCode::SUCCESS;
                }
                Ok(Event::Signal(Signal::Stop)) | Err(_) => {
                    self.upgrade.is_cancelled.store(true, Ordering::Release);
                    self.engine.release_sockets();
                    note("stopped at once");
                    break ExitCode::FAILURE;
                }
            }
        };
        self.sharing.settle(&self.engine.served(), CONNECT_BEFORE);
        self.store.close();
        // A process that was being started is not left behind: nobody waits for it any more.
        if let Some(upgrading) = upgrading {
            let _ = upgrading.join();
        }
        code
    }

    /// Begins to drain, on a thread of its own.
    fn drain(&self, events: &Sender<Event>, why: &str) {
        self.readiness.draining();
        let limit = self.engine.drain_limit();
        note(&format!("{why}, for {limit:?} at most; another signal ends it at once"));
        let engine = Arc::clone(&self.engine);
        let events = events.clone();
        thread::spawn(move || {
            let _ = events.send(Event::Drained { is_complete: engine.drain() });
        });
    }
}

/// Does work that needs much memory for a short time, on a thread of its own.
///
/// When a thread ends, the allocator looks through its memory; what was free for a second by then goes back to the
/// system. So one thread does the work, and another ends later: a gateway that idles would keep that memory.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let done = thread::scope(|scope| scope.spawn(work).join());
    // Without it the memory is given back later.
    let _ = thread::Builder::new().name("tidy".to_owned()).spawn(|| thread::park_timeout(GIVEN_BACK_AFTER));
    done.unwrap_or_else(|panic| resume_unwind(panic))
}

/// What is kept of the configuration in force, to compare the next one with.
struct InForce {
    outline: Outline,
    admin_address: Option<TcpAddress>,
    workers: Option<u32>,
}

impl InForce {
    fn of(config: &Config) -> Self {
        Self { outline: Outline::new(config), admin_address: admin_address(config), workers: config.workers }
    }
}

fn admin_address(config: &Config) -> Option<TcpAddress> {
    config.admin.as_ref().map(|admin| admin.address.value)
}

/// Says which listeners came and which went, a line each.
fn note_listeners(before: &[Listening], after: &[Listening]) {
    let is_among =
        |one: &Listening, others: &[Listening]| others.iter().any(|other| other.address == one.address);
    for listener in before.iter().filter(|one| !is_among(one, after)) {
        note(&format!("no longer listening on {}", listener.address));
    }
    for Listening { address, spoken, .. } in after.iter().filter(|one| !is_among(one, before)) {
        note(&format!("listening on {address} ({spoken})"));
    }
    for Listening { address, development, .. } in after.iter().filter(|one| !before.contains(one)) {
        if let Some(fingerprint) = development {
            note(&format!(
                "{address} shows a certificate of its own making, for development only: `curl -k` takes it\n  \
                 SHA-256 {fingerprint}"
            ));
        }
    }
}

/// What was told of the configuration before a reload.
struct Before {
    listening: Vec<Listening>,
    certificates: Vec<Certificate>,
}

/// The certificates that listeners show now.
fn certificates(engine: &Engine) -> Vec<Certificate> {
    engine.look(|snapshot| snapshot.server_certificates().into_iter().cloned().collect()).unwrap_or_default()
}

/// Says which files hold another certificate than before, a line each.
fn note_certificates(before: &[Certificate], engine: &Engine) {
    for now in certificates(engine) {
        let mut same_file = before.iter().filter(|known| known.file == now.file).peekable();
        if same_file.peek().is_some() && same_file.all(|known| known.fingerprint != now.fingerprint) {
            let (file, name, day) = (&now.file, now.name(), now.last_day());
            note(&format!("{file} holds another certificate now: {name}, valid until {day}"));
        }
    }
}

/// Tells the control plane which certificates are in force.
fn watch_certificates(engine: &Engine, readiness: &Readiness) {
    let expiry = |certificate: &Certificate, faces_clients| Expiry {
        name: certificate.name().to_owned(),
        file: certificate.file.clone(),
        fingerprint: certificate.fingerprint.clone(),
        not_after: certificate.not_after,
        faces_clients,
    };
    engine.look(|snapshot| {
        let shown = snapshot.server_certificates().into_iter().map(|one| expiry(one, true));
        let own = snapshot.client_certificates().into_iter().map(|one| expiry(one, false));
        readiness.serves(shown.chain(own).collect(), snapshot.has_clear_listener());
    });
}

/// Puts what the origin says now in force, with what was before it; or says why not.
fn load_again(
    origin: &Origin,
    engine: &Engine,
    (discoverer, envoy, sharing, store): (&Discoverer, &Envoy, &Sharing, &Store),
    current: &InForce,
) -> Result<(Config, Before), Refused> {
    let before = Before { listening: engine.listening(), certificates: certificates(engine) };
    let reloaded = engine.reload(origin, |snapshot| {
        discoverer.prepare(snapshot, SEARCH_BEFORE_RELOAD);
        sharing.prepare(snapshot, CONNECT_BEFORE);
        store.prepare(snapshot)
    });
    // What is searched for is what is in force, also where the new configuration was refused.
    engine.look(|snapshot| {
        discoverer.apply(snapshot);
        envoy.serve(snapshot);
    });
    let (config, warnings) = reloaded?;
    if let Some(Err(error)) = engine.look(|snapshot| store.put_in_force(snapshot)) {
        note(&error);
    }
    if !warnings.is_empty() {
        note(&format!("{origin} has warnings\n{}", warnings.render(false)));
    }
    if admin_address(&config) != current.admin_address {
        note("the new `admin` address holds from the next start or upgrade on");
    }
    if config.workers != current.workers {
        note("the new number of `workers` holds from the next start or upgrade on");
    }
    Ok((config, before))
}

/// What changes for a user, a line each.
fn told(old: &InForce, new: &InForce) -> String {
    let changes = old.outline.changes_to(&new.outline);
    let mut text = String::new();
    for change in changes.iter().take(CHANGES_SHOWN) {
        let _ = write!(text, "\n  {change}");
    }
    if changes.len() > CHANGES_SHOWN {
        let _ = write!(text, "\n  and {} more", changes.len() - CHANGES_SHOWN);
    }
    text
}

fn admin_token(config: &Config) -> Option<Secret> {
    config.admin.as_ref()?.token.clone()
}

/// How many workers: as the command line says, else as the configuration says, else one for each core.
fn count(config: &Config, workers: Option<u32>) -> usize {
    let asked = workers.or(config.workers).map(|count| count as usize);
    asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}
