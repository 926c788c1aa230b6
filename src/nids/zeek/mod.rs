//! The coupling with Zeek: a client of its WebSocket API (`ws://127.0.0.1:27759/v1/messages/json`). Subscribes to the topics of the package in
//! `integrations/zeek`, takes notices and requests for packets, answers requests. Owns the connection and finds it again when it is lost.
//! Called by the command line.

mod answer;
pub mod event;
pub mod frame;

pub use answer::Answers;

use super::event::Trouble;
use super::{Hub, LOOK};
use crate::limits::{NIDS_LINE_MAX, NIDS_SILENT_NS};
use answer::Answer;
use frame::Message;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use tungstenite::client::{ClientRequestBuilder, client_with_config};
use tungstenite::error::{CapacityError, Error};
use tungstenite::http::Uri;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message as Frame, WebSocket};

/// What we subscribe to.
const TOPICS: &str = r#"["retrotap/notice","retrotap/request"]"#;
/// Longest wait for a connection, the handshake, the acknowledgement.
const GREETING: Duration = Duration::from_secs(5);
/// Waits between attempts, growing.
const RETRY: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// The client.
#[derive(Debug)]
pub struct Zeek {
    uri: Uri,
    host: String,
    port: u16,
    answers: Receiver<Answer>,
}

impl Zeek {
    /// For a Zeek at this address, `ws://HOST:PORT/PATH`; the error says what an address is.
    pub fn new(url: &str, answers: Receiver<Answer>) -> Result<Zeek, String> {
        let wrong = || format!("{url:?} is no address of Zeek's: write ws://127.0.0.1:27759/v1/messages/json");
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        if uri.scheme_str() != Some("ws") {
            return Err(format!("{}; TLS is for a proxy on this machine", wrong()));
        }
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(27759);
        Ok(Zeek { uri, host, port, answers })
    }

    /// Serves until the hub's end.
    pub fn run(&self, hub: &Hub) {
        let (mut failures, mut told) = (0, String::new());
        while !hub.stop().is_set() {
            match self.connect() {
                Ok(mut socket) => {
                    (failures, told) = (0, String::new());
                    hub.peer("zeek", true, &self.uri.to_string());
                    let why = self.serve(&mut socket, hub).err().unwrap_or_default();
                    hub.peer("zeek", false, &why);
                }
                // The same reason is told once.
                Err(why) if why != told => {
                    hub.peer("zeek", false, &why);
                    told = why;
                }
                Err(_) => {}
            }
            let wait = RETRY.get(failures.min(RETRY.len() - 1)).copied().unwrap_or(GREETING);
            failures += 1;
            hub.stop().wait(wait);
        }
    }

    /// Connected, subscribed, acknowledged.
    fn connect(&self) -> Result<WebSocket<TcpStream>, String> {
        let text = |e: std::io::Error| format!("{}:{}: {e}", self.host, self.port);
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs().map_err(text)?;
        let address = addresses.next().ok_or_else(|| format!("{} has no address", self.host))?;
        let stream = TcpStream::connect_timeout(&address, GREETING).map_err(text)?;
        stream
            .set_read_timeout(Some(GREETING))
            .and_then(|()| stream.set_write_timeout(Some(GREETING)))
            .and_then(|()| stream.set_nodelay(true))
            .map_err(text)?;
        let request = ClientRequestBuilder::new(self.uri.clone()).with_header("X-Application-Name", "retrotap");
        let config =
            WebSocketConfig::default().max_message_size(Some(NIDS_LINE_MAX)).max_frame_size(Some(NIDS_LINE_MAX));
        let (mut socket, _) =
            client_with_config(request, stream, Some(config)).map_err(|e| format!("no handshake: {e}"))?;
        socket.send(Frame::text(TOPICS)).map_err(|e| format!("it takes no subscription: {e}"))?;
        let since = Instant::now();
        loop {
            match socket.read() {
                Ok(Frame::Text(text)) => match frame::read(&text) {
                    Ok(Message::Ack { .. }) => break,
                    Ok(Message::Error { code, context }) => return Err(format!("it refuses: {code}: {context}")),
                    _ => return Err("its first message is no acknowledgement".into()),
                },
                Ok(_) if since.elapsed() < GREETING => {}
                Ok(_) => return Err("it does not acknowledge".into()),
                Err(e) => return Err(format!("it does not acknowledge: {e}")),
            }
        }
        socket.get_ref().set_read_timeout(Some(LOOK)).map_err(text)?;
        Ok(socket)
    }

    /// Until the connection ends; the error is why it did.
    fn serve(&self, socket: &mut WebSocket<TcpStream>, hub: &Hub) -> Result<(), String> {
        let silent = Duration::from_nanos(NIDS_SILENT_NS);
        let (mut heard, mut asked) = (Instant::now(), false);
        while !hub.stop().is_set() {
            for answer in self.answers.try_iter() {
                socket.write(Frame::text(answer.frame())).map_err(|e| e.to_string())?;
            }
            if heard.elapsed() > silent && !asked {
                asked = true;
                socket.write(Frame::Ping(Vec::new().into())).map_err(|e| e.to_string())?;
            }
            if heard.elapsed() > silent * 2 {
                return Err("it answers no more".into());
            }
            socket.flush().or_else(waiting).map_err(|e| e.to_string())?;
            match socket.read() {
                Ok(frame) => {
                    (heard, asked) = (Instant::now(), false);
                    self.message(frame, hub, socket)?;
                }
                Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                    hub.bad(Trouble::TooLong, "a message is longer than is taken");
                    return Err("what follows a message that is too long can't be read".into());
                }
                Err(e) => waiting(e).map_err(|e| e.to_string())?,
            }
        }
        let _ = socket.close(None).and_then(|()| socket.flush());
        Ok(())
    }

    fn message(&self, frame: Frame, hub: &Hub, socket: &mut WebSocket<TcpStream>) -> Result<(), String> {
        let text = match frame {
            Frame::Text(text) => text,
            Frame::Binary(_) => {
                hub.bad(Trouble::Malformed, "a message of bytes: Zeek sends text");
                return Ok(());
            }
            Frame::Close(why) => return Err(why.map_or("closed".into(), |w| format!("closed: {w}"))),
            _ => return Ok(()),
        };
        let alert = match frame::read(&text) {
            Ok(Message::Event { name, args, .. }) => event::alert(&name, &args),
            Ok(Message::Ack { .. }) => Ok(None),
            Ok(Message::Error { code, context }) => Err(format!("Zeek says: {code}: {context}")),
            Err(why) => Err(why),
        };
        match alert {
            Ok(None) => hub.other(),
            Err(why) => hub.bad(Trouble::Malformed, &why),
            Ok(Some(alert)) => {
                let request = alert.request.clone();
                if let (super::hub::Taken::No(why), Some(request)) = (hub.alert(alert), request) {
                    let answer = Answer::no(request, why);
                    return socket.write(Frame::text(answer.frame())).map_err(|e| e.to_string());
                }
            }
        }
        Ok(())
    }
}

/// Nothing there yet is no error.
fn waiting(e: Error) -> Result<(), Error> {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    match e {
        Error::Io(io) if matches!(io.kind(), WouldBlock | TimedOut | Interrupted) => Ok(()),
        e => Err(e),
    }
}
