//! The threads that read cameras' pictures: message -> tensor, then the engine.
//!
//! A picture takes milliseconds to decode, so nobody who decides reads one, and the threads that do run in the default
//! class and never take the engine's lock. A tensor's memory changes hands: the thread fills one, the engine's thread
//! keeps it as the newest sample and gives another one back. A thread without one waits, and of the pictures that arrive
//! meanwhile the newest waits for it.
//!
//! Robots whose models want the same of a camera share its tensor.

use std::{
    collections::HashMap,
    sync::Arc,
    thread::{self, Thread},
    time::{Duration, Instant},
};

use engine::{InputId, Reason, SampleClock};
use heapless::spsc::{Consumer, Producer, Queue};
use image_input::{ImageError, Pipeline, Spec};
use message::Stamp;
use miette::{IntoDiagnostic, Result, WrapErr};
use zenoh_link::{CameraId, CameraKeys, Pictures};

use crate::{door::Door, plan::Plan, realtime, samples::Tensor};

/// A topic, and what its pictures become.
pub(crate) struct Camera<'p> {
    pub(crate) key: &'p str,
    pub(crate) looks: Vec<Look<'p>>,
}

/// The inputs that take the same tensor of a camera's picture, and judge it alike.
pub(crate) struct Look<'p> {
    name: &'p str,
    spec: &'p Spec,
    clock: SampleClock,
    pub(crate) inputs: Vec<InputId>,
}

impl Plan {
    /// The cameras, in the link's order.
    pub(crate) fn cameras(&self) -> Vec<Camera<'_>> {
        let mut cameras: Vec<Camera<'_>> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (id, one) in (0..).map(InputId).zip(self.joined()) {
            let Some(spec) = one.image else { continue };
            let place = *places.entry(one.key).or_insert(cameras.len());
            if place == cameras.len() {
                cameras.push(Camera { key: one.key, looks: Vec::new() });
            }
            let (looks, clock) = (&mut cameras[place].looks, one.input.clock);
            match looks.iter_mut().find(|look| look.spec == spec && look.clock == clock) {
                Some(look) => look.inputs.push(id),
                None => looks.push(Look { name: &one.input.name, spec, clock, inputs: vec![id] }),
            }
        }
        cameras
    }

    /// The link's cameras.
    pub(crate) fn camera_keys(&self) -> Vec<CameraKeys> {
        let keys = |camera: Camera<'_>| CameraKeys {
            pictures: camera.key.to_owned(),
            max_frame_bytes: camera.looks.iter().map(|look| look.spec.most.bytes).max().unwrap_or(0),
        };
        self.cameras().into_iter().map(keys).collect()
    }
}

/// A picture that was looked at, on its way to the engine.
pub(crate) struct Seen {
    pub(crate) at_ns: u64,
    pub(crate) picture: Result<Stamp, Reason>,
    /// Filled if there is a stamp.
    pub(crate) tensor: Tensor,
}

/// The engine's side of one look.
pub(crate) struct Desk {
    pub(crate) camera: CameraId,
    pub(crate) inputs: Vec<InputId>,
    seen: Consumer<'static, Seen>,
    back: Producer<'static, Tensor>,
    thread: Thread,
}

impl Desk {
    /// A picture that was looked at, if there is one. Its tensor, or another one, must be given back.
    pub(crate) fn take(&mut self) -> Option<Seen> {
        self.seen.dequeue()
    }

    /// Gives a tensor back.
    pub(crate) fn give_back(&mut self, tensor: Tensor) {
        let given = self.back.enqueue(tensor).is_ok();
        assert!(given, "a look has one tensor");
        self.thread.unpark();
    }
}

/// A camera's thread before it starts, with all its memory.
pub(crate) struct Reader {
    key: String,
    looks: Vec<Looking>,
    desks: Vec<(Vec<InputId>, Consumer<'static, Seen>, Producer<'static, Tensor>)>,
}

/// One look's pipeline and its side of the exchange.
struct Looking {
    name: String,
    pipeline: Pipeline,
    /// `None`: the engine's side has it.
    tensor: Option<Tensor>,
    seen: Producer<'static, Seen>,
    back: Consumer<'static, Tensor>,
    complained: Option<Instant>,
}

/// What the cameras need, in the link's order.
pub(crate) fn readers(plan: &Plan) -> Result<Vec<Reader>> {
    let looking = |look: Look<'_>| {
        let pipeline = Pipeline::new(look.spec.clone()).into_diagnostic()?;
        let tensor = Some(Tensor::new(vec![0.0; pipeline.values()]));
        // One is under way at most; a queue of N holds N - 1.
        let (seen, seen_out) = Box::leak(Box::new(Queue::<Seen, 2>::new())).split();
        let (back_in, back) = Box::leak(Box::new(Queue::<Tensor, 2>::new())).split();
        let looking = Looking { name: look.name.to_owned(), pipeline, tensor, seen, back, complained: None };
        Ok((looking, (look.inputs, seen_out, back_in)))
    };
    let reader = |camera: Camera<'_>| {
        let looks = camera.looks.into_iter().map(looking).collect::<Result<Vec<_>>>()?;
        let (looks, desks) = looks.into_iter().unzip();
        Ok(Reader { key: camera.key.to_owned(), looks, desks })
    };
    plan.cameras().into_iter().map(reader).collect()
}

/// Starts a thread for each camera. Returns the engine's sides, and the threads in the link's order.
pub(crate) fn start(readers: Vec<Reader>, pictures: Vec<Pictures>, door: &Door) -> Result<(Vec<Desk>, Vec<Thread>)> {
    let (mut all, mut threads) = (Vec::new(), Vec::new());
    for ((camera, Reader { key, looks, desks }), pictures) in (0..).map(CameraId::new).zip(readers).zip(pictures) {
        let door = door.clone();
        let name: String = looks.first().map_or("camera", |look| look.name.as_str()).into();
        let thread = thread::Builder::new()
            .name(format!("genba-{name}").chars().take(15).collect())
            .spawn(move || {
                realtime::lower(0);
                watch(&key, looks, pictures, &door);
            })
            .into_diagnostic()
            .wrap_err("cannot start a camera's thread")?;
        let thread = thread.thread().clone();
        let desk = |(inputs, seen, back)| Desk { camera, inputs, seen, back, thread: thread.clone() };
        all.extend(desks.into_iter().map(desk));
        threads.push(thread);
    }
    Ok((all, threads))
}

fn watch(key: &str, mut looks: Vec<Looking>, mut pictures: Pictures, door: &Door) {
    loop {
        for look in &mut looks {
            look.tensor = look.tensor.take().or_else(|| look.back.dequeue());
        }
        let ready = looks.iter().all(|look| look.tensor.is_some());
        let received = if ready {
            pictures.receive(|picture| {
                for look in &mut looks {
                    look.at(key, picture.at_ns, picture.bytes);
                }
            })
        } else {
            None
        };
        match received {
            Some(()) => door.wake(),
            None => thread::park(),
        }
    }
}

impl Looking {
    fn at(&mut self, key: &str, at_ns: u64, message: Option<&[u8]>) {
        let mut tensor = self.tensor.take().expect("every look has one before a picture is received");
        let values = Arc::get_mut(&mut tensor).expect("what is given back is nobody else's");
        let picture = match message.map(|message| self.pipeline.run(message, values)) {
            Some(Ok(frame)) => Ok(Stamp::new(frame.stamp_ns)),
            Some(Err(error)) => Err(self.refuse(key, error)),
            None => Err(Reason::TooLarge),
        };
        let sent = self.seen.enqueue(Seen { at_ns, picture, tensor }).is_ok();
        assert!(sent, "the tensor before it came back, so the queue is empty");
    }

    /// Says what is wrong with a picture, at most once a second: the engine counts each.
    fn refuse(&mut self, key: &str, error: ImageError) -> Reason {
        let reason = reason(error);
        if self.complained.is_none_or(|last| last.elapsed() > BETWEEN_COMPLAINTS) {
            self.complained = Some(Instant::now());
            tracing::warn!("{reason}: {} on {key}: {error}. {}", self.name, reason.row().action);
        }
        reason
    }
}

const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(1);

fn reason(error: ImageError) -> Reason {
    match error {
        ImageError::TooLong { .. } => Reason::TooLarge,
        ImageError::Encapsulation
        | ImageError::Truncated
        | ImageError::Trailing
        | ImageError::Text
        | ImageError::Stamp
        | ImageError::Endianness
        | ImageError::Step
        | ImageError::Length => Reason::PictureMalformed,
        ImageError::Encoding
        | ImageError::Format
        | ImageError::Empty
        | ImageError::TooLarge(_)
        | ImageError::Crop(_)
        | ImageError::Channels => Reason::PictureUnfit,
        ImageError::Jpeg(_) | ImageError::Png(_) | ImageError::Panicked => Reason::PictureBroken,
        ImageError::Tensor => unreachable!("the tensor was made with the pipeline's length"),
    }
}
