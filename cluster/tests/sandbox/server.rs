//! A node for tests: it says on demand whom it reaches and whom it heard.
//!
//! ```text
//! port 7000   TCP, one line a request: `tcp IP MILLIS`, `udp IP WORD`, `heard WORD`, `boot`; UDP, words from other nodes
//! port 7001   TCP, accepts and says `hi`
//! ```

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigHandler, Signal, signal};

/// Where it is asked.
pub(crate) const ASK: u16 = 7000;
const GREET: u16 = 7001;

type Heard = Arc<Mutex<BTreeSet<String>>>;

/// Serves for ever, or fails at once, as `kind` says.
pub(crate) fn serve(ip: &str, kind: &str) -> ExitCode {
    match kind {
        "crash" => {
            eprintln!("cannot open the log: it is on fire");
            return ExitCode::from(7);
        }
        "mute" => loop {
            println!("I am here, but I do not listen");
            thread::sleep(Duration::from_secs(60));
        },
        "stubborn" => ignore_sigterm(),
        "family" => leave_home(),
        _ => {}
    }
    let heard = Heard::default();
    let udp = UdpSocket::bind(format!("{ip}:{ASK}")).unwrap();
    let greeter = TcpListener::bind(format!("{ip}:{GREET}")).unwrap();
    let sender = udp.try_clone().unwrap();
    let ears = Arc::clone(&heard);
    thread::spawn(move || listen(&udp, &ears));
    thread::spawn(move || greet(&greeter));
    println!("node of boot {} is up", boot());
    for stream in TcpListener::bind(format!("{ip}:{ASK}")).unwrap().incoming().flatten() {
        let (heard, sender) = (Arc::clone(&heard), sender.try_clone().unwrap());
        thread::spawn(move || answer(&stream, &heard, &sender));
    }
    ExitCode::SUCCESS
}

fn boot() -> String {
    std::env::var("BOOT").unwrap_or_default()
}

fn ignore_sigterm() {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }.unwrap();
}

/// Leaves a child in a session of its own, which no signal to our group reaches.
fn leave_home() {
    use std::os::unix::process::CommandExt;
    let mut child = Command::new("sleep");
    child.arg("1000");
    // SAFETY: setsid(2) is async-signal-safe.
    unsafe { child.pre_exec(|| Ok(nix::unistd::setsid().map(drop)?)) };
    let mut child = child.spawn().unwrap();
    thread::spawn(move || child.wait());
}

fn listen(udp: &UdpSocket, heard: &Heard) {
    let mut buffer = [0; 64];
    while let Ok((length, from)) = udp.recv_from(&mut buffer) {
        let word = String::from_utf8_lossy(&buffer[..length]);
        heard.lock().unwrap().insert(format!("{} {word}", from.ip()));
    }
}

fn greet(greeter: &TcpListener) {
    for mut stream in greeter.incoming().flatten() {
        let _ = stream.write_all(b"hi");
    }
}

fn answer(stream: &TcpStream, heard: &Heard, udp: &UdpSocket) {
    let mut writer = stream;
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        let said = match words.as_slice() {
            ["tcp", ip, millis] => is_greeted(ip, millis.parse().unwrap()).to_string(),
            ["udp", ip, word] => {
                udp.send_to(word.as_bytes(), format!("{ip}:{ASK}")).unwrap();
                "sent".to_owned()
            }
            ["heard", word] => said_by(&heard.lock().unwrap(), word),
            ["boot"] => boot(),
            ["exit", code] => std::process::exit(code.parse().unwrap()),
            _ => "?".to_owned(),
        };
        if writeln!(writer, "{said}").is_err() {
            return;
        }
    }
}

fn is_greeted(ip: &str, within_ms: u64) -> bool {
    let within = Duration::from_millis(within_ms);
    let address: SocketAddr = format!("{ip}:{GREET}").parse().unwrap();
    let Ok(mut stream) = TcpStream::connect_timeout(&address, within) else { return false };
    stream.set_read_timeout(Some(within)).unwrap();
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).is_ok() && &greeting == b"hi"
}

/// Returns who said this word, separated by spaces.
fn said_by(heard: &BTreeSet<String>, word: &str) -> String {
    let ips: Vec<&str> = heard
        .iter()
        .filter_map(|entry| entry.split_once(' '))
        .filter(|(_, said)| *said == word)
        .map(|(ip, _)| ip)
        .collect();
    ips.join(" ")
}
