//! Hands listening sockets from a running process to the one that replaces it, over a pair of Unix sockets.
//!
//! The old process starts the new one with one end as its standard input, and sends: a greeting, bundles of descriptors
//! under labels, an end. The new one answers one word when it serves. The greeting counts as a contract between versions:
//! a process refuses one that it does not know, and then the old one goes on serving.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Tells the new process that its standard input is the way to the old one.
const VARIABLE: &str = "TOLLGATE_HANDOVER";
/// The version of what is said.
const PROTOCOL: u64 = 1;
/// The word that the new process serves.
const READY: &[u8] = b"ready";
/// Descriptors in one message; the kernel takes 253.
const DESCRIPTORS: usize = 64;
/// Bytes of one message: a label, which holds an address.
const MESSAGE: usize = 4096;
/// Messages at most, so that a peer gone mad does not fill the memory: 1024 workers with 1000 listeners.
const MESSAGES: usize = 20_000;
/// Bytes of a text that is handed over.
const MOST_TEXT: u64 = 256 * 1024 * 1024;
/// How long one message may take to be sent or to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether waiting still makes sense.
const LOOK: Duration = Duration::from_millis(50);

/// How this process was started, so that it can be started again.
#[derive(Debug, Clone)]
pub struct Binary {
    path: PathBuf,
    arguments: Vec<OsString>,
}

/// Descriptors under a label that both sides understand.
#[derive(Debug)]
pub struct Bundle {
    /// What they are.
    pub label: String,
    /// The descriptors.
    pub descriptors: Vec<OwnedFd>,
}

impl Bundle {
    /// A text under a label, however long: it is in a file in memory, whose descriptor is handed over.
    pub fn of_text(label: String, text: &str) -> io::Result<Self> {
        let mut file = File::from(memfd_create("tollgate", MemfdFlags::CLOEXEC)?);
        file.write_all(text.as_bytes())?;
        Ok(Self { label, descriptors: vec![file.into()] })
    }

    /// The text.
    pub fn into_text(self) -> io::Result<String> {
        let mut text = String::new();
        if let Some(descriptor) = self.descriptors.into_iter().next() {
            let mut file = File::from(descriptor);
            // Where it stands both processes share.
            file.rewind()?;
            file.take(MOST_TEXT).read_to_string(&mut text)?;
        }
        Ok(text)
    }
}

/// The process that is to take over. Dropped before it is ready, it is ended.
#[derive(Debug)]
pub struct Successor {
    child: Child,
    channel: OwnedFd,
    is_ready: bool,
}

/// The process whose sockets this one takes over.
#[derive(Debug)]
pub struct Predecessor {
    channel: OwnedFd,
    /// Which process this one is since the first was started.
    pub generation: u64,
    /// What was handed over.
    pub bundles: Vec<Bundle>,
}

/// Why no successor took over.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// It ended.
    #[error("the new process ended before it served ({0})")]
    Ended(ExitStatus),
    /// It said nothing in time.
    #[error("the new process did not serve within {} s", .0.as_secs())]
    Silent(Duration),
    /// Nobody wants it any more.
    #[error("the gateway was told to stop meanwhile")]
    Cancelled,
    /// It could not be spoken with.
    #[error("cannot speak with the new process: {0}")]
    Broken(#[from] io::Error),
}

impl Binary {
    /// By the path that this process was started by, so that another binary put in its place is what starts next. To be
    /// asked before the working directory could change.
    pub fn of_this_process() -> Self {
        let mut arguments = env::args_os();
        let name = PathBuf::from(arguments.next().unwrap_or_default());
        let path = if name.components().count() > 1 {
            env::current_dir().ok().map(|at| at.join(&name))
        } else {
            on_path(&name)
        };
        let path = path.or_else(|| env::current_exe().ok()).unwrap_or(name);
        Self { path, arguments: arguments.collect() }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn on_path(name: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

impl Successor {
    /// Starts the binary with the arguments of this process.
    pub fn start(binary: &Binary) -> io::Result<Self> {
        let (channel, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_timeout(&channel, Timeout::Send, Some(PATIENCE))?;
        let child = Command::new(&binary.path)
            .args(&binary.arguments)
            .env(VARIABLE, PROTOCOL.to_string())
            // What systemd passed to this process is not for that one.
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_FDNAMES")
            .stdin(Stdio::from(theirs))
            .spawn()?;
        Ok(Self { child, channel, is_ready: false })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Hands everything over; the new process is of this generation.
    pub fn hand_over(&self, generation: u64, bundles: &[Bundle]) -> io::Result<()> {
        self.say(&json!({ "tollgate": PROTOCOL, "generation": generation }), &[])?;
        for bundle in bundles {
            let descriptors: Vec<BorrowedFd<'_>> = bundle.descriptors.iter().map(AsFd::as_fd).collect();
            for part in descriptors.chunks(DESCRIPTORS) {
                self.say(&json!({ "label": bundle.label }), part)?;
            }
        }
        self.say(&json!({ "end": true }), &[])
    }

    /// Waits until it serves, for so long at most; then it lives on without this process.
    pub fn wait_until_ready(
        mut self,
        limit: Duration,
        is_cancelled: impl Fn() -> bool,
    ) -> Result<u32, Unready> {
        let due = Instant::now() + limit;
        sockopt::set_socket_timeout(&self.channel, Timeout::Recv, Some(LOOK)).map_err(io::Error::from)?;
        loop {
            let mut word = [0; READY.len()];
            match rustix::net::recv(&self.channel, &mut word[..], RecvFlags::empty()) {
                Ok((_, count)) if &word[..count] == READY => {
                    self.is_ready = true;
                    return if is_cancelled() { Err(self.unwanted()) } else { Ok(self.pid()) };
                }
                // The end: it is going, if it has not gone.
                Ok(_) | Err(Errno::CONNRESET) => return Err(self.ending(due)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            if is_cancelled() {
                return Err(Unready::Cancelled);
            }
            if Instant::now() >= due {
                return Err(Unready::Silent(limit));
            }
        }
    }

    /// It serves already, and may have clients: it is asked to finish with them.
    fn unwanted(&self) -> Unready {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // Gone already, otherwise.
            let _ = kill_process(pid, Signal::TERM);
        }
        Unready::Cancelled
    }

    /// What became of a process that has closed its end.
    fn ending(&mut self, due: Instant) -> Unready {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Unready::Ended(status),
                Err(error) => return error.into(),
                Ok(None) if Instant::now() >= due => return Unready::Silent(PATIENCE),
                Ok(None) => std::thread::park_timeout(LOOK),
            }
        }
    }

    fn say(&self, message: &Value, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let text = message.to_string();
        sendmsg(&self.channel, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.is_ready {
            // Gone already, most likely.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Predecessor {
    /// Takes what the process that started this one hands over; nothing when it was started by anybody else.
    pub fn receive() -> io::Result<Option<Self>> {
        if env::var_os(VARIABLE).is_none() {
            return Ok(None);
        }
        let stdin = io::stdin();
        if !sockopt::socket_type(&stdin).is_ok_and(|kind| kind == SocketType::SEQPACKET) {
            // The variable was left behind by something else.
            return Ok(None);
        }
        let channel = stdin.as_fd().try_clone_to_owned()?;
        // The old process must see the end of the channel when this one ends it.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Self::receive_on(channel).map(Some)
    }

    fn receive_on(channel: OwnedFd) -> io::Result<Self> {
        sockopt::set_socket_timeout(&channel, Timeout::Recv, Some(PATIENCE))?;
        let (greeting, _) = hear(&channel)?;
        if greeting["tollgate"] != PROTOCOL {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it speaks another version"));
        }
        let generation = greeting["generation"].as_u64().unwrap_or(1);
        let mut bundles: Vec<Bundle> = Vec::new();
        for _ in 0..MESSAGES {
            let (message, descriptors) = hear(&channel)?;
            let Some(label) = message["label"].as_str() else {
                return Ok(Self { channel, generation, bundles });
            };
            match bundles.last_mut().filter(|last| last.label == label) {
                Some(last) => last.descriptors.extend(descriptors),
                None => bundles.push(Bundle { label: label.to_owned(), descriptors }),
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "it hands over without end"))
    }

    /// Tells the old process that this one serves.
    pub fn ready(self) {
        // If the old one is gone there is nobody to tell, and the more reason to serve.
        let _ = rustix::net::send(&self.channel, READY, SendFlags::NOSIGNAL);
    }
}

fn hear(channel: &OwnedFd) -> io::Result<(Value, Vec<OwnedFd>)> {
    let mut text = [0; MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        match recvmsg(channel, &mut [IoSliceMut::new(&mut text)], &mut control, flags) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let descriptors = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        // Where descriptors are missing, the limit of open files is the usual reason.
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a part of what it handed over is lost"));
    }
    let message = serde_json::from_slice(&text[..received.bytes])?;
    Ok((message, descriptors))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A program of the system in the place of the new process.
    fn shell(script: &str) -> Successor {
        let binary = Binary { path: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] };
        Successor::start(&binary).unwrap()
    }

    fn pair() -> (Successor, OwnedFd) {
        let (channel, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        (Successor { child, channel, is_ready: false }, theirs)
    }

    #[test]
    fn sockets_arrive_under_their_labels_and_still_accept() {
        let (successor, theirs) = pair();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // More than one message takes.
        let many = (0..=DESCRIPTORS * 2).map(|_| listener.try_clone().unwrap().into()).collect();
        let bundles = [
            Bundle { label: "many".to_owned(), descriptors: many },
            Bundle { label: "one".to_owned(), descriptors: vec![listener.into()] },
            Bundle::of_text("text".to_owned(), &"word ".repeat(10_000)).unwrap(),
        ];
        successor.hand_over(7, &bundles).unwrap();
        drop(bundles);
        let mut heir = Predecessor::receive_on(theirs).unwrap();
        assert_eq!(heir.generation, 7);
        let counts: Vec<_> =
            heir.bundles.iter().map(|bundle| (bundle.label.as_str(), bundle.descriptors.len())).collect();
        assert_eq!(counts, [("many", DESCRIPTORS * 2 + 1), ("one", 1), ("text", 1)]);
        assert_eq!(heir.bundles.pop().unwrap().into_text().unwrap(), "word ".repeat(10_000));
        let mut client = TcpStream::connect(address).unwrap();
        let one: TcpListener = heir.bundles[1].descriptors[0].try_clone().unwrap().into();
        one.accept().unwrap().0.write_all(b"hello").unwrap();
        let mut hello = [0; 5];
        client.read_exact(&mut hello).unwrap();
        heir.ready();
        let pid = successor.pid();
        assert_eq!(successor.wait_until_ready(PATIENCE, || false).unwrap(), pid);
        kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
    }

    #[test]
    fn a_successor_that_ends_hangs_or_is_not_wanted_any_more_is_told_apart() {
        let ended = shell("exit 3").wait_until_ready(PATIENCE, || false).unwrap_err();
        assert!(ended.to_string().contains("exit status: 3"), "{ended}");
        let hung = shell("sleep 60").wait_until_ready(Duration::from_millis(100), || false).unwrap_err();
        assert!(matches!(hung, Unready::Silent(_)), "{hung}");
        let cancelled = shell("sleep 60").wait_until_ready(PATIENCE, || true).unwrap_err();
        assert!(matches!(cancelled, Unready::Cancelled), "{cancelled}");
    }

    #[test]
    fn what_is_no_handover_is_refused() {
        for greeting in [&b"{\"tollgate\":99}"[..], b"nonsense", b"{}"] {
            let (successor, theirs) = pair();
            rustix::net::send(&successor.channel, greeting, SendFlags::empty()).unwrap();
            assert!(Predecessor::receive_on(theirs).is_err());
        }
        let (successor, theirs) = pair();
        successor.say(&json!({ "tollgate": PROTOCOL, "generation": 2 }), &[]).unwrap();
        drop(successor);
        assert!(Predecessor::receive_on(theirs).is_err(), "an end before the end");
    }
}
