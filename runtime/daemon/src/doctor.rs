//! `genba doctor`: what this machine has of what models run on, what each provider said, what is missing and what to
//! install; and what the config's hand-offs go by. It changes nothing and sends nothing, and is not for use beside a box: it
//! opens Nvidia's libraries and the config's models.

mod install;
mod report;
mod ways_out;

use std::{env::consts, path::PathBuf, process::ExitCode, thread, time::SystemTime};

use miette::{IntoDiagnostic, Result};
use onnx_model::{Found, Kernel, Library, Loading, Need, Part, Provider, first_that_holds};
use serde::Serialize;

use self::{
    install::{Machine, steps},
    ways_out::WaysOut,
};
use crate::{
    config::{Config, Priority},
    logging,
    plan::Plan,
    providers::loading,
    realtime::{self, Class},
};

/// What is asked for on the command line.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A box's config: its models are tried on the providers that it lists for them, and the files that its hand-offs go by
    /// are looked at. Nothing is sent.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was found, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Findings {
    machine: String,
    /// The GPU's driver, or the release of a Jetson's Linux.
    driver: Option<String>,
    gpus: Vec<String>,
    library: Option<LibraryFound>,
    /// Why there is no library.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_library: Option<String>,
    realtime: String,
    providers: Vec<ProviderFound>,
    models: Vec<ModelFound>,
    /// Where the config declares any.
    #[serde(skip_serializing_if = "Option::is_none")]
    ways_out: Option<WaysOut>,
    install: Vec<String>,
    good: bool,
}

#[derive(Debug, Serialize)]
struct LibraryFound {
    version: String,
    path: PathBuf,
}

#[derive(Debug, Serialize)]
struct ProviderFound {
    provider: String,
    /// Whether it took the smallest of graphs.
    usable: bool,
    /// What ONNX Runtime said if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<String>,
    /// Whether the library brings it.
    shipped: bool,
    needs: Vec<NeedFound>,
}

#[derive(Debug, Serialize)]
struct NeedFound {
    library: String,
    part: &'static str,
    opens: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

#[derive(Debug, Serialize)]
struct ModelFound {
    model: String,
    listed: Vec<String>,
    /// The first of the list that holds all of it.
    provider: Option<String>,
    /// Those before it, or all of them.
    passed: Vec<String>,
}

/// Looks, and prints what was found.
pub(crate) fn doctor(arguments: &Arguments) -> Result<ExitCode> {
    let plan = arguments.config.as_ref().map(|config| Plan::load(Config::load(config)?)).transpose()?;
    let _logs = logging::start();
    let findings = look(plan.as_ref());
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&findings).into_diagnostic()?);
    } else {
        print!("{}", report::human(&findings));
    }
    Ok(if findings.good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look(plan: Option<&Plan>) -> Findings {
    let kernel = Kernel::default();
    let gpus = kernel.gpus();
    let opened = opened(plan);
    let wanted = wanted(plan, !gpus.is_empty());
    let mut findings = Findings {
        machine: format!("{} {}", consts::OS, consts::ARCH),
        driver: kernel.driver(),
        gpus: gpus
            .into_iter()
            .map(|gpu| gpu.uuid.map_or(gpu.name.clone(), |uuid| format!("{} {uuid}", gpu.name)))
            .collect(),
        library: None,
        no_library: None,
        realtime: rights(plan),
        providers: Vec::new(),
        models: Vec::new(),
        ways_out: plan.and_then(|plan| WaysOut::look(&plan.config, SystemTime::now())),
        install: Vec::new(),
        good: false,
    };
    let library = match opened {
        Ok(library) => library,
        Err(why) => {
            findings.no_library = Some(why);
            return findings;
        }
    };
    findings.library = Some(LibraryFound { version: library.version().to_owned(), path: library.path().to_path_buf() });
    findings.models = plan.map_or_else(Vec::new, |plan| models(plan, &library));
    let tried: Vec<_> = wanted.iter().map(|provider| (*provider, library.try_provider(*provider).err())).collect();
    // After all of ONNX Runtime's own tries: opening a library is what is asked here.
    let needs: Vec<_> = wanted.iter().map(|provider| library.needs(*provider)).collect();
    let machine = Machine::this(kernel.release());
    let mut missing: Vec<(Part, Option<String>)> = Vec::new();
    for need in needs.iter().flatten().filter(|need| need.found != Found::Opens) {
        missing.push((need.part, need.major().map(str::to_owned)));
    }
    let lacks = |provider: &Provider| *provider != Provider::Cpu && library.provider_file(*provider).is_none();
    findings.install = steps(&machine, wanted.iter().any(lacks), &missing);
    findings.providers = tried
        .into_iter()
        .zip(needs)
        .map(|((provider, said), needs)| ProviderFound {
            provider: provider.to_string(),
            usable: said.is_none(),
            said: said.map(|said| said.to_string()),
            shipped: !lacks(&provider),
            needs: needs.into_iter().map(NeedFound::from).collect(),
        })
        .collect();
    let are_providers_good = match plan {
        Some(_) => findings.models.iter().all(|model| model.provider.is_some()),
        None => findings.providers.iter().all(|provider| provider.usable),
    };
    findings.good = are_providers_good && findings.ways_out.as_ref().is_none_or(WaysOut::is_good);
    findings
}

fn opened(plan: Option<&Plan>) -> Result<Library, String> {
    let named = plan.and_then(|plan| plan.config.onnx_library.as_deref());
    let found = Library::find(named).map_err(|error| error.to_string())?;
    Library::load(&found).map_err(|error| error.to_string())
}

/// What the config lists; without one the processor, and where there is a GPU what could use it.
fn wanted(plan: Option<&Plan>, has_gpu: bool) -> Vec<Provider> {
    let mut wanted = vec![Provider::Cpu];
    let listed = plan.into_iter().flat_map(|plan| &plan.config.models).flat_map(|model| &model.providers);
    for provider in listed {
        if !wanted.contains(provider) {
            wanted.push(*provider);
        }
    }
    if plan.is_none() && has_gpu {
        wanted.extend([Provider::Cuda { device: 0 }, Provider::TensorRt { device: 0 }]);
    }
    wanted
}

/// Each model on its list. Engines are neither looked for nor kept.
fn models(plan: &Plan, library: &Library) -> Vec<ModelFound> {
    let declared = plan.config.models.iter().zip(&plan.manifests).enumerate();
    let found = declared.map(|(place, (declared, manifest))| {
        let loading = Loading { engines: None, ..loading(&plan.config, place, &[]) };
        let held = first_that_holds(library, manifest, &declared.providers, &loading, |_| ());
        let (provider, passed) = match held {
            Ok(holds) => (Some(holds.model.provider().to_string()), holds.passed),
            Err(none) => (None, none.0),
        };
        ModelFound {
            model: declared.name.clone(),
            listed: declared.providers.iter().map(Provider::to_string).collect(),
            provider,
            passed: passed.iter().map(ToString::to_string).collect(),
        }
    });
    found.collect()
}

/// Whether this user may use the class that the config asks for.
fn rights(plan: Option<&Plan>) -> String {
    let asked = plan.and_then(|plan| plan.config.realtime.fifo_priority).map(Priority::engine);
    let Some(priority) = asked else { return "no config asks for a real-time priority".to_owned() };
    let granted = thread::spawn(move || realtime::grant(&[], Some(priority)).0).join();
    match granted.unwrap_or(Class::Default) {
        Class::Default => format!(
            "SCHED_FIFO {priority} is refused: give the service LimitRTPRIO={priority}, or the capability CAP_SYS_NICE"
        ),
        class @ Class::Fifo(_) => format!("{class} is granted"),
    }
}

impl From<Need> for NeedFound {
    fn from(need: Need) -> Self {
        let (opens, detail) = match need.found {
            Found::Opens => (true, String::new()),
            Found::Missing { others } if others.is_empty() => (false, "is not where the loader looks".to_owned()),
            Found::Missing { others } => {
                let others: Vec<_> = others.iter().map(|path| path.display().to_string()).collect();
                (false, format!("is not there, only another version: {}", others.join(", ")))
            }
            Found::Broken { reason } => (false, format!("cannot be opened: {reason}")),
        };
        Self { library: need.library, part: need.part.name(), opens, detail }
    }
}
