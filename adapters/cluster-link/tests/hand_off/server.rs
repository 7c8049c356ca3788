//! A server that speaks gRPC as it is told to, and counts what comes.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread::JoinHandle,
};

use h2::{
    Reason, RecvStream,
    server::{Builder, SendResponse},
};
use hyper::{HeaderMap, Request, Response, body::Bytes};
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use crate::proto::{
    InferTensorContents, ModelInferRequest, ModelInferResponse, model_infer_response::InferOutputTensor,
};

/// What it does with a call, once it has read it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Does {
    /// Answers `y` = `x`, raw.
    Answer,
    /// The same, typed.
    AnswerTyped,
    Status(u32),
    /// Status without a body or trailers of its own.
    Http(u16),
    NotGrpc,
    WrongShape,
    Nan,
    /// Announces 100 MiB, and sends them.
    Huge,
    /// A second message behind the answer.
    TrailingGarbage,
    /// The message ends before it should.
    Short,
    NoTrailers,
    /// Sends headers, and then nothing for ever.
    Hang,
    /// Sends nothing at all, for ever.
    Silence,
    /// Sends nothing until it is told to do something else; then it answers.
    Pause,
    /// Ends the connection at the first bytes of a body.
    CloseMidSend,
}

#[derive(Default)]
pub(crate) struct State {
    /// Bytes that came over its sockets.
    pub(crate) raw: AtomicU64,
    /// Bytes of bodies.
    pub(crate) payload: AtomicU64,
    pub(crate) connections: AtomicUsize,
    pub(crate) ended: AtomicUsize,
    pub(crate) calls: Mutex<Vec<Call>>,
    /// Why calls were given up by the box.
    pub(crate) resets: Mutex<Vec<Reason>>,
    does: Mutex<Option<Does>>,
    told: Notify,
    /// Sockets are not read beyond that many bytes.
    pub(crate) pause_at: AtomicU64,
    paused: Mutex<Vec<Waker>>,
    close: Notify,
}

#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: String,
    pub(crate) message: ModelInferRequest,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(tls: Option<Arc<ServerConfig>>, does: Does) -> Self {
        Self::at("127.0.0.1:0".parse().expect("an address"), tls, does)
    }

    pub(crate) fn at(address: SocketAddr, tls: Option<Arc<ServerConfig>>, does: Does) -> Self {
        let state = Arc::new(State { pause_at: AtomicU64::new(u64::MAX), ..State::default() });
        state.does(does);
        let (stop, stopped) = oneshot::channel();
        let (told, hear) = std::sync::mpsc::channel();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(address).await.expect("the port is free");
                told.send(listener.local_addr().expect("bound")).expect("the test waits");
                tokio::select! {
                    () = accept(listener, tls, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        let address = hear.recv().expect("it is bound");
        Self { address, state, stop: Some(stop), thread: Some(thread) }
    }

    /// As `kill -9` does: every socket is closed.
    pub(crate) fn kill(mut self) -> Arc<State> {
        self.end();
        Arc::clone(&self.state)
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server does not panic");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl State {
    pub(crate) fn does(&self, does: Does) {
        *self.does.lock().expect("no panic") = Some(does);
        self.told.notify_waiters();
    }

    pub(crate) fn raw(&self) -> u64 {
        self.raw.load(Ordering::SeqCst)
    }

    pub(crate) fn payload(&self) -> u64 {
        self.payload.load(Ordering::SeqCst)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("no panic").clone()
    }

    pub(crate) fn resume(&self) {
        self.pause_at.store(u64::MAX, Ordering::SeqCst);
        self.paused.lock().expect("no panic").drain(..).for_each(Waker::wake);
    }
}

async fn accept(listener: TcpListener, tls: Option<Arc<ServerConfig>>, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.expect("it listens");
        state.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let counted = Counted { stream, state: Arc::clone(&state) };
            match tls {
                // A handshake that the box gives up is what many tests are about.
                Some(tls) => {
                    if let Ok(stream) = TlsAcceptor::from(tls).accept(counted).await {
                        serve(stream, &state).await;
                    }
                }
                None => serve(counted, &state).await,
            }
            state.ended.fetch_add(1, Ordering::SeqCst);
        });
    }
}

async fn serve<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: I, state: &Arc<State>) {
    let window = 16 << 20;
    let builder = Builder::new().initial_window_size(window).initial_connection_window_size(window).handshake(io);
    let Ok(mut connection) = builder.await else { return };
    loop {
        tokio::select! {
            call = connection.accept() => match call {
                Some(Ok((request, respond))) => drop(tokio::spawn(answer(request, respond, Arc::clone(state)))),
                Some(Err(_)) | None => return,
            },
            () = state.close.notified() => return,
        }
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, state: Arc<State>) {
    let (head, mut stream) = request.into_parts();
    let does = state.does.lock().expect("no panic").expect("it was told");
    let mut body = Vec::new();
    while let Some(Ok(data)) = stream.data().await {
        state.payload.fetch_add(data.len() as u64, Ordering::SeqCst);
        drop(stream.flow_control().release_capacity(data.len()));
        body.extend(data);
        if does == Does::CloseMidSend {
            return state.close.notify_one();
        }
    }
    if !stream.is_end_stream() {
        return; // The box gave it up while it sent.
    }
    let timeout = head.headers["grpc-timeout"].to_str().expect("ASCII").to_owned();
    let message = ModelInferRequest::decode(&body[5..]).expect("a message");
    state.calls.lock().expect("no panic").push(Call { body, timeout, message: message.clone() });
    // The box may have hung up, which the test that made it do so looks at.
    drop(reply(does, &message, &mut respond, &state).await);
}

async fn reply(
    does: Does,
    request: &ModelInferRequest,
    respond: &mut SendResponse<Bytes>,
    state: &State,
) -> Result<(), h2::Error> {
    let head = |status: u16, kind: &str| {
        Response::builder().status(status).header("content-type", kind).body(()).expect("headers")
    };
    let frame = |message: &[u8]| -> Vec<u8> {
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        [&[0][..], &length, message].concat()
    };
    let good = response(request, does).encode_to_vec();
    let body = match does {
        Does::Answer | Does::AnswerTyped | Does::WrongShape | Does::Nan | Does::NoTrailers => frame(&good),
        Does::Pause => {
            let told = state.told.notified();
            if *state.does.lock().expect("no panic") == Some(Does::Pause) {
                told.await;
            }
            frame(&good)
        }
        Does::TrailingGarbage => [frame(&good), vec![7; 9]].concat(),
        Does::Short => frame(&good)[..good.len()].to_vec(),
        Does::Huge => frame(&vec![0; 100 << 20]),
        Does::Status(code) => {
            let mut head = head(200, "application/grpc");
            head.headers_mut().insert("grpc-status", code.into());
            head.headers_mut().insert("grpc-message", "no%20such%20model".parse().expect("ASCII"));
            return respond.send_response(head, true).map(drop);
        }
        Does::Http(status) => {
            let mut head = head(status, "text/html");
            head.headers_mut().insert("location", "http://127.0.0.1:1/".parse().expect("ASCII"));
            return respond.send_response(head, true).map(drop);
        }
        Does::NotGrpc => {
            respond.send_response(head(200, "text/html"), false)?.send_data(Bytes::from_static(b"<html>"), true)?;
            return Ok(());
        }
        Does::Silence => {
            let reason = std::future::poll_fn(|cx| respond.poll_reset(cx)).await?;
            state.resets.lock().expect("no panic").push(reason);
            return Ok(());
        }
        Does::Hang => {
            let mut stream = respond.send_response(head(200, "application/grpc"), false)?;
            let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await?;
            state.resets.lock().expect("no panic").push(reason);
            return Ok(());
        }
        Does::CloseMidSend => return Ok(()),
    };
    let mut stream = respond.send_response(head(200, "application/grpc+proto"), false)?;
    stream.send_data(body.into(), does == Does::NoTrailers)?;
    if does != Does::NoTrailers {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", 0.into());
        stream.send_trailers(trailers)?;
    }
    Ok(())
}

/// `y` = the first two values of `x`.
fn response(request: &ModelInferRequest, does: Does) -> ModelInferResponse {
    let place = request.inputs.iter().position(|input| input.name == "x");
    let x = place.map(|place| request.raw_input_contents[place].slice(..8)).unwrap_or_default();
    let values: Vec<f32> = x.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    let y = if does == Does::Nan { [f32::NAN.to_le_bytes(), [0; 4]].concat().into() } else { x };
    let typed = does == Does::AnswerTyped;
    ModelInferResponse {
        model_name: request.model_name.clone(),
        model_version: "1".into(),
        id: request.id.clone(),
        outputs: vec![InferOutputTensor {
            name: "y".into(),
            datatype: "FP32".into(),
            shape: if does == Does::WrongShape { vec![1, 2] } else { vec![2] },
            contents: typed.then(|| InferTensorContents { fp32_contents: values, ..Default::default() }),
        }],
        raw_output_contents: if typed { vec![] } else { vec![y] },
    }
}

/// A socket that counts what it read, and stops reading when it is told to.
struct Counted {
    stream: TcpStream,
    state: Arc<State>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.state.raw() >= self.state.pause_at.load(Ordering::SeqCst) {
            self.state.paused.lock().expect("no panic").push(cx.waker().clone());
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.state.raw.fetch_add((buf.filled().len() - before) as u64, Ordering::SeqCst);
        poll
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A listener that answers every connection with the same bytes, and counts what came.
pub(crate) struct Rude {
    pub(crate) address: SocketAddr,
    pub(crate) raw: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Rude {
    pub(crate) fn start(answer: &'static [u8]) -> Self {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let rude = Self { address: listener.local_addr().expect("bound"), raw: Arc::default(), over: Arc::default() };
        let (raw, over) = (Arc::clone(&rude.raw), Arc::clone(&rude.over));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.expect("it listens");
                let mut buffer = [0; 1 << 12];
                let mut first = true;
                // Whatever comes until the box hangs up.
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    raw.fetch_add(count as u64, Ordering::SeqCst);
                    if std::mem::take(&mut first) {
                        drop(stream.write_all(answer));
                    }
                }
            }
        });
        rude
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(std::net::TcpStream::connect(self.address));
    }
}
