//! A pseudo-terminal with the binary in it: keys go in, and what a user would see comes out.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::eventually;
use crate::gateway::binary;

/// A program in a terminal; it ends with the scene.
pub struct Terminal {
    process: Child,
    /// The side of who types and looks.
    master: File,
    /// The program's side, so that its modes can be looked at after its end.
    slave: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

/// Runs the binary with these arguments and environment in a terminal of that many columns and lines.
#[track_caller]
pub fn terminal(size: (u16, u16), arguments: &[&str], environment: &[(&str, &str)]) -> Terminal {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    // It is the controlling terminal of the program, not of the tests.
    let flags = OFlags::NOCTTY.bits().cast_signed();
    let slave = OpenOptions::new().read(true).write(true).custom_flags(flags).open(name).unwrap();
    tcsetwinsize(&slave, window(size)).unwrap();
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(binary()).args(arguments);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR").envs(environment.iter().copied());
    let end = || slave.try_clone().unwrap();
    let process = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(size.1), cells(size.0), 0)));
    let master = File::from(master);
    let (mut output, shown) = (master.try_clone().unwrap(), Arc::clone(&screen));
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count) = output.read(&mut bytes) {
            shown.lock().unwrap().process(&bytes[..count]);
        }
    });
    Terminal { process, master, slave, screen }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn window((columns, lines): (u16, u16)) -> Winsize {
    Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Terminal {
    /// What is on the screen.
    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Whether the program has the screen for itself, and what was there before is kept.
    pub fn is_full_screen(&self) -> bool {
        self.screen.lock().unwrap().screen().alternate_screen()
    }

    /// Whether the terminal hands on lines, and shows what is typed, as a shell expects it.
    pub fn is_usual(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Whether the cursor is to be seen.
    pub fn has_cursor(&self) -> bool {
        !self.screen.lock().unwrap().screen().hide_cursor()
    }

    /// Whether anything on the screen has a colour.
    pub fn is_colored(&self) -> bool {
        let parser = self.screen.lock().unwrap();
        let screen = parser.screen();
        let (rows, columns) = screen.size();
        let (rows, columns) = (rows.get(), columns.get());
        let mut cells =
            (0..rows).flat_map(|row| (0..columns).filter_map(move |column| screen.cell(row, column)));
        cells.any(|cell| cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default)
    }

    /// Types these bytes.
    pub fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Makes it larger or smaller.
    pub fn resize(&self, size: (u16, u16)) {
        self.screen.lock().unwrap().screen_mut().set_size(cells(size.1), cells(size.0));
        tcsetwinsize(&self.slave, window(size)).unwrap();
    }

    /// Waits until these words are on the screen.
    #[track_caller]
    pub fn expect(&self, words: &str) {
        eventually(&format!("{words:?} on the screen"), || self.text().contains(words));
    }

    /// Waits until these words are on the screen no more.
    #[track_caller]
    pub fn expect_gone(&self, words: &str) {
        eventually(&format!("{words:?} to go"), || !self.text().contains(words));
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.process.id().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits until the program ends.
    #[track_caller]
    pub fn expect_exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the program ends", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- on the screen\n{}\n---", self.text());
        }
    }
}
