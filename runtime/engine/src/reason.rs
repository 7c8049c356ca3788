//! Why: every refusal, fallback, miss and alarm, each one row of one table.
//!
//! Responses, logs, metrics, pages and recordings carry the same number. A number is never used again
//! for something else.

use message::ReasonNumber;

/// Which kind of outcome a reason explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasonKind {
    /// The observation was refused.
    Refusal,
    /// A fallback was sent in the model's place.
    Fallback,
    /// No response was handed over in time: a breach.
    Miss,
    /// The operator must know; no single observation is concerned.
    Alarm,
    /// Told to controllers outside the response topic.
    Notice,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// The reason that this row explains.
    pub reason: Reason,
    /// The stable number, printed as `E-214`.
    pub number: u16,
    /// What kind of outcome it explains.
    pub kind: ReasonKind,
    /// The stable name, in `kebab-case`.
    pub name: &'static str,
    /// What happened.
    pub what: &'static str,
    /// What to do.
    pub action: &'static str,
    /// What happened, in Japanese.
    pub what_ja: &'static str,
    /// What to do, in Japanese.
    pub action_ja: &'static str,
}

/// Why an observation was refused, answered by a fallback or missed, or why an alarm was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The frame is shorter than an observation's fixed fields.
    Truncated,
    /// The frame does not begin as little-endian CDR.
    Encapsulation,
    /// The frame holds another message type.
    WrongType,
    /// The declared length of the values does not fit the frame.
    WrongLength,
    /// The checksum does not hold.
    Checksum,
    /// The sequence is zero.
    SequenceZero,
    /// The frame is larger than any observation of this task.
    TooLarge,
    /// The values are not as many as the contract declares.
    ValuesLength,
    /// A value of the observation is NaN or infinite.
    ObservationNotFinite,
    /// No such robot and task on this box.
    UnknownTask,
    /// The frame was addressed to another robot or task.
    Address,
    /// The controller was built for another contract.
    Contract,
    /// The epoch was retired.
    Epoch,
    /// The controller changes its epoch too often.
    EpochRate,
    /// The sequence is not newer than the last one accepted.
    Sequence,
    /// The budget leaves no room, or is longer than the task's deadline.
    Budget,
    /// The queue was full.
    Overload,
    /// The box is shutting down.
    Draining,
    /// A query was sent where a topic is meant.
    QueryOnTopic,
    /// A new epoch of the same controller took over.
    EpochRetired,
    /// The observation came too soon after the ones before it.
    Period,
    /// The sample's sender was taken over from.
    SourceRetired,
    /// An input's senders change too often.
    SourceRate,
    /// The sample's stamp lies in the future.
    StampAhead,
    /// The message is no picture's.
    PictureMalformed,
    /// The picture is not of a declared kind or size.
    PictureUnfit,
    /// The picture's compressed data are broken.
    PictureBroken,
    /// The picture was shown before.
    PictureRepeated,
    /// The model did not answer in time.
    Late,
    /// No worker became free in time.
    Unstarted,
    /// A newer observation fell due first.
    Overtaken,
    /// The model's action holds NaN or infinity.
    ActionNotFinite,
    /// The model's action left the envelope's range.
    OutOfRange,
    /// The model's action changed faster than the envelope allows.
    TooFast,
    /// The model failed to run.
    ModelFailed,
    /// The model's timing record is void, and the task rests.
    Resting,
    /// No worker can finish in time any more.
    NoTimeLeft,
    /// A joined input has no sample.
    InputMissing,
    /// A joined input's newest sample is too old.
    InputTooOld,
    /// The deadline passed before a response could be handed over.
    DeadlinePassed,
    /// The deadline passed before the frame could be admitted.
    ExpiredOnArrival,
    /// The link refused to take the response.
    LinkFailed,
    /// A worker overran too often.
    WorkerOverruns,
    /// A worker's inference hangs.
    WorkerHang,
    /// No worker is left for a model.
    NoWorkerLeft,
    /// The engine's thread makes no progress.
    EngineStalled,
    /// A model's inferences take longer than its timing record says.
    RecordExceeded,
    /// A device lowered its clock.
    Throttled,
    /// A setting is another than a timing record was taken with.
    SettingChanged,
    /// The box shuts down.
    Farewell,
}

impl Reason {
    /// How many reasons there are.
    pub const COUNT: usize = TABLE.len();

    /// This reason's row of the table.
    #[must_use]
    pub fn row(self) -> &'static Row {
        TABLE.get(self.index()).expect("the table has a row for each reason, in order: a test compares them")
    }

    /// The number as responses carry it.
    #[must_use]
    pub fn number(self) -> ReasonNumber {
        ReasonNumber::new(self.row().number).expect("no row's number is zero: a test reads them all")
    }

    /// The reason with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        TABLE.iter().find(|row| row.number == number).map(|row| row.reason)
    }

    /// Its place in [`TABLE`], for counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let row = self.row();
        write!(formatter, "E-{} {}", row.number, row.name)
    }
}

/// The table: one row for each reason, in the enum's order.
pub const TABLE: [Row; 50] = [
    Row {
        reason: Reason::Truncated,
        number: 101,
        kind: ReasonKind::Refusal,
        name: "truncated",
        what: "The frame is shorter than an observation's fixed fields.",
        action: "Compare the controller's encoder with ObservationV1.msg.",
        what_ja: "フレームが観測の固定部より短い。",
        action_ja: "コントローラの符号化を ObservationV1.msg と比べる。",
    },
    Row {
        reason: Reason::Encapsulation,
        number: 102,
        kind: ReasonKind::Refusal,
        name: "encapsulation",
        what: "The frame does not begin as little-endian CDR.",
        action: "Begin each frame with 00 01 00 00.",
        what_ja: "フレームがリトルエンディアンの CDR で始まっていない。",
        action_ja: "フレームの先頭を 00 01 00 00 にする。",
    },
    Row {
        reason: Reason::WrongType,
        number: 103,
        kind: ReasonKind::Refusal,
        name: "wrong-type",
        what: "The frame holds another message type.",
        action: "Publish ObservationV1 on the observation topic.",
        what_ja: "別のメッセージ型が入っている。",
        action_ja: "観測トピックには ObservationV1 を送る。",
    },
    Row {
        reason: Reason::WrongLength,
        number: 104,
        kind: ReasonKind::Refusal,
        name: "wrong-length",
        what: "The declared length of the values does not fit the frame.",
        action: "Set the length to the bytes that follow it; append nothing.",
        what_ja: "値の長さがフレームと合わない。",
        action_ja: "長さを後続のバイト数にし、余分を付けない。",
    },
    Row {
        reason: Reason::Checksum,
        number: 105,
        kind: ReasonKind::Refusal,
        name: "checksum",
        what: "The checksum does not hold: the frame was damaged or is computed wrongly.",
        action: "Compute CRC-32C over the whole frame except its own four bytes; if it is right, check the cable.",
        what_ja: "チェックサムが合わない。",
        action_ja: "CRC-32C をその 4 バイトを除く全体で計算する。正しければ配線を調べる。",
    },
    Row {
        reason: Reason::SequenceZero,
        number: 106,
        kind: ReasonKind::Refusal,
        name: "sequence-zero",
        what: "The sequence is zero.",
        action: "Count observations from 1.",
        what_ja: "シーケンスが 0 である。",
        action_ja: "観測を 1 から数える。",
    },
    Row {
        reason: Reason::TooLarge,
        number: 107,
        kind: ReasonKind::Refusal,
        name: "too-large",
        what: "The frame is larger than any observation of this task.",
        action: "Send this task's observation only on its key.",
        what_ja: "このタスクの観測より大きいフレームが届いた。",
        action_ja: "このキーにはこのタスクの観測だけを送る。",
    },
    Row {
        reason: Reason::ValuesLength,
        number: 108,
        kind: ReasonKind::Refusal,
        name: "values-length",
        what: "The values are not as many as the contract declares.",
        action: "Send one f32 for each input element of the contract, in its order.",
        what_ja: "値の数が契約と異なる。",
        action_ja: "契約の入力要素ごとに f32 を 1 つ、その順で送る。",
    },
    Row {
        reason: Reason::ObservationNotFinite,
        number: 109,
        kind: ReasonKind::Refusal,
        name: "observation-not-finite",
        what: "A value of the observation is NaN or infinite.",
        action: "Look for a sensor or a computation that failed on the controller.",
        what_ja: "観測に NaN または無限大がある。",
        action_ja: "コントローラのセンサか計算の故障を調べる。",
    },
    Row {
        reason: Reason::UnknownTask,
        number: 201,
        kind: ReasonKind::Refusal,
        name: "unknown-task",
        what: "No such robot and task on this box.",
        action: "Compare the key with `genba status`; add the robot to the config.",
        what_ja: "このボックスにそのロボットとタスクはない。",
        action_ja: "キーを `genba status` と比べ、設定に追加する。",
    },
    Row {
        reason: Reason::Address,
        number: 202,
        kind: ReasonKind::Refusal,
        name: "address",
        what: "The frame was addressed to another robot or task than its key.",
        action: "Compute the address from the same robot and task as the key.",
        what_ja: "フレームの宛先がキーと異なる。",
        action_ja: "宛先をキーと同じロボットとタスクから計算する。",
    },
    Row {
        reason: Reason::Contract,
        number: 203,
        kind: ReasonKind::Refusal,
        name: "contract",
        what: "The controller was built for another contract.",
        action: "Rebuild the controller with the digest that `genba check` prints.",
        what_ja: "コントローラが別の契約で作られている。",
        action_ja: "`genba check` が示すダイジェストで作り直す。",
    },
    Row {
        reason: Reason::Epoch,
        number: 204,
        kind: ReasonKind::Refusal,
        name: "epoch",
        what: "The epoch was retired: an old instance of the controller still publishes.",
        action: "Stop the old instance; choose a random epoch at each start.",
        what_ja: "退いたエポックである。古いコントローラがまだ送っている。",
        action_ja: "古い方を止め、起動ごとに乱数でエポックを選ぶ。",
    },
    Row {
        reason: Reason::EpochRate,
        number: 205,
        kind: ReasonKind::Refusal,
        name: "epoch-rate",
        what: "The controller changes its epoch more than 8 times a second.",
        action: "Look for a controller that restarts in a loop, or two that share one key.",
        what_ja: "エポックが 1 秒に 8 回を超えて変わった。",
        action_ja: "再起動を繰り返すか、キーを共有するコントローラを探す。",
    },
    Row {
        reason: Reason::Sequence,
        number: 206,
        kind: ReasonKind::Refusal,
        name: "sequence",
        what: "The sequence is not newer than the last one accepted.",
        action: "Send each observation once, with a growing sequence; choose a new epoch after a restart.",
        what_ja: "シーケンスが最後に受理したものより新しくない。",
        action_ja: "観測は一度だけ、増える番号で送る。再起動後は新しいエポックを選ぶ。",
    },
    Row {
        reason: Reason::Budget,
        number: 207,
        kind: ReasonKind::Refusal,
        name: "budget",
        what: "The budget leaves no room for an answer, or is longer than the task's deadline.",
        action: "Choose a budget between the margin and the task's deadline, or 0 for the deadline.",
        what_ja: "予算が短すぎるか、タスクの期限より長い。",
        action_ja: "余裕と期限の間の予算、または期限を意味する 0 を選ぶ。",
    },
    Row {
        reason: Reason::Overload,
        number: 208,
        kind: ReasonKind::Refusal,
        name: "overload",
        what: "The queue of this key was full.",
        action: "Lower the rate at which this controller publishes.",
        what_ja: "このキーの待ち行列が満杯だった。",
        action_ja: "コントローラの送信頻度を下げる。",
    },
    Row {
        reason: Reason::Draining,
        number: 209,
        kind: ReasonKind::Refusal,
        name: "draining",
        what: "The box is shutting down.",
        action: "Wait for the box to come back, or start it.",
        what_ja: "ボックスは停止中である。",
        action_ja: "再起動を待つか、起動する。",
    },
    Row {
        reason: Reason::QueryOnTopic,
        number: 210,
        kind: ReasonKind::Refusal,
        name: "query-on-topic",
        what: "A query was sent where a topic is meant.",
        action: "Publish observations; subscribe to responses.",
        what_ja: "トピックに対してクエリが送られた。",
        action_ja: "観測は publish し、応答は subscribe する。",
    },
    Row {
        reason: Reason::EpochRetired,
        number: 211,
        kind: ReasonKind::Refusal,
        name: "epoch-retired",
        what: "A new epoch of the same controller took over before this observation was answered.",
        action: "Nothing, after a restart of the controller.",
        what_ja: "回答の前に同じコントローラの新しいエポックが始まった。",
        action_ja: "コントローラの再起動後なら何もしなくてよい。",
    },
    Row {
        reason: Reason::Period,
        number: 212,
        kind: ReasonKind::Refusal,
        name: "period",
        what: "The observation came sooner after the ones before it than the task's shortest period allows.",
        action: "Publish no faster than `min_period_us`; if the rate is right, correct `min_period_us` or `arrival_jitter_us` and run `genba check`.",
        what_ja: "タスクの最短周期より早く観測が届いた。",
        action_ja: "`min_period_us` より速く送らない。頻度が正しければ `min_period_us` か `arrival_jitter_us` を直し、`genba check` を実行する。",
    },
    Row {
        reason: Reason::SourceRetired,
        number: 221,
        kind: ReasonKind::Refusal,
        name: "source-retired",
        what: "The sample comes from a sender that another one took over from.",
        action: "Let one sender publish this input, with a random `source` at each start.",
        what_ja: "別の送信元に交代した後の、古い送信元からのサンプルである。",
        action_ja: "この入力は一つの送信元だけが送り、起動ごとに `source` を乱数で選ぶ。",
    },
    Row {
        reason: Reason::SourceRate,
        number: 222,
        kind: ReasonKind::Refusal,
        name: "source-rate",
        what: "This input's senders change more than eight times a second.",
        action: "Look for two senders of one input, or for one that restarts in a loop.",
        what_ja: "この入力の送信元が毎秒八回を超えて変わっている。",
        action_ja: "同じ入力を二つが送っていないか、再起動を繰り返していないかを調べる。",
    },
    Row {
        reason: Reason::StampAhead,
        number: 223,
        kind: ReasonKind::Refusal,
        name: "stamp-ahead",
        what: "The sample's stamp lies in the future by the box's clock, which is declared as synchronised with it.",
        action: "Synchronise both clocks (PTP or NTP), or declare `clock = \"arrival\"`.",
        what_ja: "同期していると宣言された時計で、サンプルの時刻がボックスより未来である。",
        action_ja: "双方の時計を同期させる（PTP か NTP）か、`clock = \"arrival\"` とする。",
    },
    Row {
        reason: Reason::PictureMalformed,
        number: 224,
        kind: ReasonKind::Refusal,
        name: "picture-malformed",
        what: "The message is not the `sensor_msgs/msg/Image` or `CompressedImage` that its model declares, or is cut short.",
        action: "Compare the topic's type with `accept` of the input's image in model.toml, and look for a sender of something else.",
        what_ja: "メッセージがモデルの宣言した `sensor_msgs/msg/Image` または `CompressedImage` でないか、途中で切れている。",
        action_ja: "トピックの型を model.toml の画像入力の `accept` と比べ、別のものを送る送信元がないか調べる。",
    },
    Row {
        reason: Reason::PictureUnfit,
        number: 225,
        kind: ReasonKind::Refusal,
        name: "picture-unfit",
        what: "The picture's encoding, size or channels are not among those that its model declares.",
        action: "Set the camera to an accepted encoding and size, or correct the input's image in model.toml.",
        what_ja: "画像の符号化形式、大きさ、またはチャンネルがモデルの宣言と合わない。",
        action_ja: "カメラを宣言された形式と大きさに設定するか、model.toml の画像入力を直す。",
    },
    Row {
        reason: Reason::PictureBroken,
        number: 226,
        kind: ReasonKind::Refusal,
        name: "picture-broken",
        what: "The picture's JPEG or PNG data are broken, or of a kind that no camera makes.",
        action: "Look for a damaged link or a failing camera; use baseline JPEG, or PNG that is not interlaced.",
        what_ja: "画像の JPEG または PNG データが壊れているか、カメラの作らない種類である。",
        action_ja: "通信路やカメラの故障を調べる。ベースライン JPEG か、インターレースでない PNG を使う。",
    },
    Row {
        reason: Reason::PictureRepeated,
        number: 227,
        kind: ReasonKind::Refusal,
        name: "picture-repeated",
        what: "The picture has the stamp of one that was taken before: it is not newer.",
        action: "Look for a camera that stands still while its driver repeats the last picture.",
        what_ja: "以前に採用した画像と同じか古い時刻の画像であり、新しくない。",
        action_ja: "カメラが止まり、ドライバーが最後の画像を繰り返していないか調べる。",
    },
    Row {
        reason: Reason::Late,
        number: 301,
        kind: ReasonKind::Fallback,
        name: "late",
        what: "The model did not answer in time.",
        action: "Look at the model's latency and at what shares its device.",
        what_ja: "モデルが間に合わなかった。",
        action_ja: "モデルの遅延と、装置を共有するものを調べる。",
    },
    Row {
        reason: Reason::Unstarted,
        number: 302,
        kind: ReasonKind::Fallback,
        name: "unstarted",
        what: "No worker became free in time.",
        action: "Give the task a worker of its own, or lower the rate.",
        what_ja: "空いたワーカーがなかった。",
        action_ja: "タスクに専用のワーカーを与えるか、頻度を下げる。",
    },
    Row {
        reason: Reason::Overtaken,
        number: 303,
        kind: ReasonKind::Fallback,
        name: "overtaken",
        what: "A newer observation of this connection fell due first.",
        action: "Give observations of one controller the same budget.",
        what_ja: "同じ接続の新しい観測が先に期限となった。",
        action_ja: "一つのコントローラの観測には同じ予算を使う。",
    },
    Row {
        reason: Reason::ActionNotFinite,
        number: 304,
        kind: ReasonKind::Fallback,
        name: "action-not-finite",
        what: "The model's action holds NaN or infinity.",
        action: "Replay the observation; do not trust this model.",
        what_ja: "モデルの行動に NaN または無限大がある。",
        action_ja: "観測を再生して調べる。このモデルを信用しない。",
    },
    Row {
        reason: Reason::OutOfRange,
        number: 305,
        kind: ReasonKind::Fallback,
        name: "out-of-range",
        what: "The model's action left the envelope's range.",
        action: "Replay the observation; check that it lies in the model's training data.",
        what_ja: "モデルの行動が許容範囲を出た。",
        action_ja: "観測を再生し、学習データの範囲かを調べる。",
    },
    Row {
        reason: Reason::TooFast,
        number: 306,
        kind: ReasonKind::Fallback,
        name: "too-fast",
        what: "The model's action changed faster than the envelope allows.",
        action: "Replay the observation, or declare `too_fast = \"clamp\"`.",
        what_ja: "モデルの行動の変化が速すぎる。",
        action_ja: "観測を再生するか、`too_fast = \"clamp\"` とする。",
    },
    Row {
        reason: Reason::ModelFailed,
        number: 307,
        kind: ReasonKind::Fallback,
        name: "model-failed",
        what: "The model failed to run.",
        action: "Read the worker's error in the log.",
        what_ja: "モデルの実行が失敗した。",
        action_ja: "ログのワーカーのエラーを読む。",
    },
    Row {
        reason: Reason::Resting,
        number: 308,
        kind: ReasonKind::Fallback,
        name: "resting",
        what: "The model's timing record is void, and the task rests as it declares.",
        action: "Find what voided the record (E-505 to E-507), measure again with `genba measure` and restart the box.",
        what_ja: "モデルの計測記録が無効となり、タスクは宣言どおり休止している。",
        action_ja: "記録が無効になった原因（E-505～E-507）を調べ、`genba measure` で測り直して再起動する。",
    },
    Row {
        reason: Reason::NoTimeLeft,
        number: 309,
        kind: ReasonKind::Fallback,
        name: "no-time-left",
        what: "By the timing records no worker could finish in time any more, so nothing was started. A one-off request is refused for it.",
        action: "Ask with a longer budget or less often; of an observation, run `genba check` for what shares its worker.",
        what_ja: "計測記録によれば、どのワーカーも期限に間に合わないため、推論を始めなかった。単発の要求は拒否される。",
        action_ja: "予算を長くするか頻度を下げる。観測なら、ワーカーを共有するものを `genba check` で調べる。",
    },
    Row {
        reason: Reason::InputMissing,
        number: 310,
        kind: ReasonKind::Fallback,
        name: "input-missing",
        what: "No sample of a joined input has come since the box started.",
        action: "See `genba status` for which input; start its sender, and check its key, address and contract.",
        what_ja: "ボックスの起動後、結合入力のサンプルがまだ一つも届いていない。",
        action_ja: "どの入力かを `genba status` で調べ、送信元を起動し、キー・宛先・契約を確認する。",
    },
    Row {
        reason: Reason::InputTooOld,
        number: 311,
        kind: ReasonKind::Fallback,
        name: "input-too-old",
        what: "The newest sample of a joined input was older than `max_age_ms` allows.",
        action: "See `genba status` for which input; look for a stalled or lossy sender, or raise `max_age_ms`.",
        what_ja: "結合入力の最新サンプルが `max_age_ms` より古かった。",
        action_ja: "どの入力かを `genba status` で調べ、送信元の停止や欠落を確認するか、`max_age_ms` を大きくする。",
    },
    Row {
        reason: Reason::DeadlinePassed,
        number: 401,
        kind: ReasonKind::Miss,
        name: "deadline-passed",
        what: "The deadline passed before a response could be handed over.",
        action: "Look for what held up the box: `genba check` measures the margin again.",
        what_ja: "応答を渡す前に期限が過ぎた。",
        action_ja: "ボックスを止めた原因を探す。`genba check` で余裕を測り直す。",
    },
    Row {
        reason: Reason::ExpiredOnArrival,
        number: 402,
        kind: ReasonKind::Miss,
        name: "expired-on-arrival",
        what: "The deadline passed between the frame's arrival and its admission.",
        action: "Look for what held up the box, or for a flood on this key.",
        what_ja: "到着から受理までに期限が過ぎた。",
        action_ja: "ボックスを止めた原因、またはこのキーの過負荷を探す。",
    },
    Row {
        reason: Reason::LinkFailed,
        number: 403,
        kind: ReasonKind::Miss,
        name: "link-failed",
        what: "The link refused to take the response.",
        action: "Look at the link's error in the log.",
        what_ja: "リンクが応答を受け取らなかった。",
        action_ja: "ログのリンクのエラーを読む。",
    },
    Row {
        reason: Reason::WorkerOverruns,
        number: 501,
        kind: ReasonKind::Alarm,
        name: "worker-overruns",
        what: "A worker overran too often and was quarantined.",
        action: "Look at the model's latency and the device.",
        what_ja: "ワーカーの超過が多く、隔離された。",
        action_ja: "モデルの遅延と装置を調べる。",
    },
    Row {
        reason: Reason::WorkerHang,
        number: 502,
        kind: ReasonKind::Alarm,
        name: "worker-hang",
        what: "A worker's inference hangs and the worker was quarantined.",
        action: "Look at the device; the box restarts when no spare is left.",
        what_ja: "ワーカーの推論が戻らず、隔離された。",
        action_ja: "装置を調べる。予備がなければボックスは再起動する。",
    },
    Row {
        reason: Reason::NoWorkerLeft,
        number: 503,
        kind: ReasonKind::Alarm,
        name: "no-worker-left",
        what: "No worker is left for a model: the process ends and must be restarted.",
        action: "Let the service manager restart the box; configure a spare worker.",
        what_ja: "モデルのワーカーが残っていない。プロセスは終了する。",
        action_ja: "サービス管理に再起動させ、予備のワーカーを設定する。",
    },
    Row {
        reason: Reason::EngineStalled,
        number: 504,
        kind: ReasonKind::Alarm,
        name: "engine-stalled",
        what: "The engine's thread makes no progress; the heartbeat is withheld.",
        action: "Look for a process of higher priority, or a stopped machine.",
        what_ja: "エンジンが進んでいない。ハートビートを止めた。",
        action_ja: "優先度の高いプロセスや停止した計算機を調べる。",
    },
    Row {
        reason: Reason::RecordExceeded,
        number: 505,
        kind: ReasonKind::Alarm,
        name: "record-exceeded",
        what: "More inferences of a model took longer than its timing record allows; the record is void.",
        action: "Look at what shares the device and at its temperature; measure again with `genba measure`.",
        what_ja: "計測記録の許す数を超えて推論が長くかかった。記録は無効である。",
        action_ja: "装置を共有するものと温度を調べ、`genba measure` で測り直す。",
    },
    Row {
        reason: Reason::Throttled,
        number: 506,
        kind: ReasonKind::Alarm,
        name: "throttled",
        what: "A device lowered its clock; the timing records of its worker are void.",
        action: "Look at the device's cooling and power supply, then restart the box.",
        what_ja: "装置がクロックを下げた。そのワーカーの計測記録は無効である。",
        action_ja: "装置の冷却と電源を調べ、再起動する。",
    },
    Row {
        reason: Reason::SettingChanged,
        number: 507,
        kind: ReasonKind::Alarm,
        name: "setting-changed",
        what: "A setting of a device is another than its timing records were taken with; they are void.",
        action: "Restore the setting and restart the box, or measure again with `genba measure`.",
        what_ja: "装置の設定が計測時と異なる。計測記録は無効である。",
        action_ja: "設定を戻して再起動するか、`genba measure` で測り直す。",
    },
    Row {
        reason: Reason::Farewell,
        number: 601,
        kind: ReasonKind::Notice,
        name: "farewell",
        what: "The box shuts down.",
        action: "Expect silence until it comes back.",
        what_ja: "ボックスは停止する。",
        action_ja: "戻るまで応答はない。",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_row_and_a_number_of_its_own() {
        for (place, row) in TABLE.iter().enumerate() {
            assert_eq!(row.reason.index(), place, "{} is out of order", row.name);
            assert_eq!(Reason::from_number(row.number), Some(row.reason), "{} shares its number", row.name);
            assert_eq!(
                row.number / 100 >= 3,
                row.kind != ReasonKind::Refusal,
                "{} is numbered as another kind",
                row.name
            );
            assert!(ReasonNumber::new(row.number).is_some());
            for text in [row.what, row.action, row.what_ja, row.action_ja] {
                assert!(!text.is_empty(), "{} lacks a text", row.name);
            }
        }
    }
}
