//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

/// A GitOps API portal. A pull request is an access request, a merge grants it, a revert revokes it.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Begin with `portico check examples/acme`, then `portico up examples/acme`.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Enforce what a Git repository says, and follow it
    #[command(after_help = UP_HELP)]
    Up(Box<Up>),
    /// Enforce what the objects of a Kubernetes cluster say, and follow them
    #[command(after_help = OPERATOR_HELP)]
    Operator(Box<Operator>),
    /// Say whether a folder of desired state is valid
    #[command(after_help = "Exit status: 0 valid (warnings allowed), 1 errors found, 2 the folder cannot be read.")]
    Check(Check),
    /// Print the gateway configuration that a folder leads to, without secrets
    Render(Render),
    /// Say why something is granted, or why not, and where that is written
    #[command(after_help = "Example: portico explain subscription/team-shop/web-payments --dir examples/acme")]
    Explain(Explain),
    /// Say how things stand in a running `portico up`
    Status(Status),
    /// List who can call what
    Access(Access),
    /// Work with credentials
    #[command(subcommand)]
    Credential(Credential),
    /// Print the custom resource definitions for `kubectl apply -f -`
    Crds,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const UP_HELP: &str = "\
Examples:
  portico up .                           follow the repository that you are in
  portico up /srv/apis.git --branch live follow a branch of a bare repository
  portico up https://git.example/apis    clone a repository and follow it

Portico starts one Envoy for each Environment. Envoy goes on when Portico stops, and is found again at the
next start; `--stop-envoy` takes it along.";

/// `portico up`
#[derive(Args, Debug)]
pub struct Up {
    /// A repository on this machine (work tree or bare), or the URL of one to clone and follow
    #[arg(default_value = ".", value_name = "DIR|URL", value_hint = ValueHint::DirPath)]
    pub repository: String,
    /// The branch to follow; by default what is checked out
    #[arg(long)]
    pub branch: Option<String>,
    /// Only manifests below this folder of the repository
    #[arg(long, value_name = "PATH", default_value = "")]
    pub path: String,
    #[command(flatten)]
    pub state: State,
    /// The Envoy to start; by default the one on the path
    #[arg(long, value_name = "PATH", env = "PORTICO_ENVOY", value_hint = ValueHint::ExecutablePath)]
    pub envoy: Option<PathBuf>,
    /// Start no Envoy: serve those that run elsewhere
    #[arg(long)]
    pub no_envoy: bool,
    /// Stop Envoy together with Portico
    #[arg(long)]
    pub stop_envoy: bool,
    /// Where Envoys get their configuration (delta ADS over gRPC); port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:18000")]
    pub xds: SocketAddr,
    /// Where `/healthz`, `/readyz` and `POST /hooks/git` are served; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8484")]
    pub api: SocketAddr,
    /// Where the developer portal is; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    portal: SocketAddr,
    /// Serve no developer portal
    #[arg(long, conflicts_with = "portal")]
    no_portal: bool,
    /// Let whoever is at this machine sign in to the portal as anybody, for trying out; by default where no Portal says how to
    /// sign in. The portal then answers on this machine only
    #[arg(long)]
    pub local_sign_in: bool,
    /// Accept a commit that takes everything away
    #[arg(long)]
    pub allow_empty: bool,
    /// How often to look for commits that nobody told of
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub poll: u64,
    /// How log messages are written
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
}

impl Up {
    /// Where the portal is, if there is to be one.
    pub fn portal(&self) -> Option<SocketAddr> {
        (!self.no_portal).then_some(self.portal)
    }
}

const OPERATOR_HELP: &str = "\
Every replica follows the cluster; the holder of the lease serves gateways and writes. The chart `charts/portico` installs \
it with the rights that it needs. Outside of a pod it takes the cluster of KUBECONFIG.";

/// `portico operator`
#[derive(Args, Debug)]
#[command(args_override_self = true)]
pub struct Operator {
    /// A YAML file with these settings, named as here but `likeThis`; flags and variables win over it
    #[arg(long, value_name = "FILE", env = "PORTICO_CONFIG", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Only these namespaces; by default all
    #[arg(long, value_name = "NAME,…", env = "PORTICO_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Where keys may be delivered to; by default the namespaces that are followed
    #[arg(long, value_name = "NAME,…", env = "PORTICO_SECRET_NAMESPACES", value_delimiter = ',')]
    pub secret_namespaces: Vec<String>,
    /// Where Envoys get their configuration (delta ADS over gRPC)
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:18000", env = "PORTICO_XDS")]
    pub xds: SocketAddr,
    /// A folder with `tls.crt`, `tls.key` and `ca.crt`: Envoys then need a certificate of that authority
    #[arg(long, value_name = "DIR", env = "PORTICO_XDS_TLS", value_hint = ValueHint::DirPath)]
    pub xds_tls: Option<PathBuf>,
    /// Where `/livez`, `/readyz` and `/metrics` are served
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8080", env = "PORTICO_HTTP")]
    pub http: SocketAddr,
    /// Where the developer portal is served, by the holder of the Lease; the other replicas pass on to it. By default nowhere. It
    /// needs the Secret `<lease>-portal`, which the chart makes
    #[arg(long, value_name = "ADDR", env = "PORTICO_PORTAL")]
    pub portal: Option<SocketAddr>,
    /// An address of this replica by which the others reach its portal
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", env = "PORTICO_REPLICA_ADDRESS")]
    pub replica_address: IpAddr,
    /// Let whoever comes to the portal from this machine sign in as anybody, for trying out. It then answers nobody else
    #[arg(long, env = "PORTICO_LOCAL_SIGN_IN")]
    pub local_sign_in: bool,
    /// The name of the Lease whose holder writes
    #[arg(long, default_value = "portico", env = "PORTICO_LEASE")]
    pub lease: String,
    /// The namespace of the Lease; by default that of the pod
    #[arg(long, value_name = "NAME", env = "PORTICO_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// What this replica calls itself; by default the name of the host
    #[arg(long, value_name = "NAME", env = "PORTICO_IDENTITY")]
    pub identity: Option<String>,
    /// A folder for copies of Git repositories whose authors count; by default one for temporary files
    #[arg(long, value_name = "DIR", env = "PORTICO_COPIES", value_hint = ValueHint::DirPath)]
    pub copies: Option<PathBuf>,
    /// Where traces are sent, by OTLP over gRPC, for example `http://collector:4317`; by default nowhere
    #[arg(long, value_name = "URL", env = "PORTICO_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// How log messages are written
    #[arg(long, value_enum, default_value_t, env = "PORTICO_LOG_FORMAT")]
    pub log_format: LogFormat,
}

/// Where Portico keeps its state.
#[derive(Args, Clone, Debug)]
pub struct State {
    /// Where keys and other state are kept; by default below `$XDG_STATE_HOME/portico`, one folder a repository
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, env = "PORTICO_STATE")]
    pub state: Option<PathBuf>,
}

/// How log messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `portico check`
#[derive(Args, Debug)]
pub struct Check {
    /// The folder, as it is on disk
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
}

/// How diagnostics are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// With the lines they are about
    #[default]
    Text,
    /// One JSON document
    Json,
    /// Annotations of a GitHub workflow
    Github,
    /// SARIF 2.1.0
    Sarif,
}

/// `portico render`
#[derive(Args, Debug)]
pub struct Render {
    /// The folder, as it is on disk
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// The environment, as `namespace/name`; may be left out if there is only one
    #[arg(long, short, value_name = "NAMESPACE/NAME")]
    pub environment: Option<String>,
}

/// Which repository, and so which running `portico up`, is meant.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// The repository or folder
    #[arg(long, default_value = ".", value_name = "DIR|URL", value_hint = ValueHint::DirPath)]
    pub dir: String,
    #[command(flatten)]
    pub state: State,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `portico explain`
#[derive(Args, Debug)]
pub struct Explain {
    /// The object, as `kind/namespace/name`
    pub object: String,
    #[command(flatten)]
    pub target: Target,
}

/// `portico status`
#[derive(Args, Debug)]
pub struct Status {
    /// Also what is as it should be
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub target: Target,
}

/// `portico access`
#[derive(Args, Debug)]
pub struct Access {
    #[command(flatten)]
    pub target: Target,
}

/// `portico credential`
#[derive(Debug, Subcommand)]
pub enum Credential {
    /// Give a credential that says `import` the key that its clients use already, from standard input
    #[command(after_help = "Example: portico credential import team-shop/web < old-key.txt")]
    Import {
        /// The credential, as `namespace/name`
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Print the key of a credential. It is a secret: mind who looks on
    Reveal {
        /// The credential, as `namespace/name`
        name: String,
        #[command(flatten)]
        target: Target,
    },
}
