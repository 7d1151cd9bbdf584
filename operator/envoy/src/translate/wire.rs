//! Shorthands for the many wrappers of Envoy's messages.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::envoy::r#type::v3 as kind;
use envoy_types::pb::google::protobuf::{Any, Duration};
use envoy_types::pb::xds::core::v3::TypedExtensionConfig as XdsExtension;
use prost::{Message, Name};

/// A message in its envelope.
pub(super) fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// A named extension with its configuration.
pub(super) fn extension<M: Message + Name>(name: &str, message: &M) -> core::TypedExtensionConfig {
    core::TypedExtensionConfig { name: name.to_owned(), typed_config: Some(any(message)) }
}

/// As [`extension`], for the matchers, which have a type of their own.
pub(super) fn xds_extension<M: Message + Name>(name: &str, message: &M) -> XdsExtension {
    XdsExtension { name: name.to_owned(), typed_config: Some(any(message)) }
}

/// A length of time.
pub(super) fn seconds(seconds: u64) -> Duration {
    Duration { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: 0 }
}

/// Take it from the server that this resource came from.
pub(super) fn from_ads() -> core::ConfigSource {
    core::ConfigSource {
        resource_api_version: core::ApiVersion::V3.into(),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource::default(),
        )),
        ..core::ConfigSource::default()
    }
}

/// A piece of text.
pub(super) fn text(text: impl Into<String>) -> core::DataSource {
    core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(text.into())),
        ..core::DataSource::default()
    }
}

/// A header that replaces what was there. `value` may hold Envoy's `%…%` commands; see [`literal`].
pub(super) fn header(name: &str, value: String) -> core::HeaderValueOption {
    core::HeaderValueOption {
        header: Some(core::HeaderValue { key: name.to_owned(), value, ..core::HeaderValue::default() }),
        append_action: core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..core::HeaderValueOption::default()
    }
}

/// A header beside those of the same name.
pub(super) fn one_more(name: &str, value: String) -> core::HeaderValueOption {
    let append_action = core::header_value_option::HeaderAppendAction::AppendIfExistsOrAdd.into();
    core::HeaderValueOption { append_action, ..header(name, value) }
}

/// Text in which Envoy is to see no `%…%` commands.
pub(super) fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

/// Always.
pub(super) fn every_request() -> core::RuntimeFractionalPercent {
    core::RuntimeFractionalPercent {
        default_value: Some(kind::FractionalPercent { numerator: 100, denominator: 0 }),
        ..core::RuntimeFractionalPercent::default()
    }
}

/// A pattern in RE2's language.
pub(super) fn regex(pattern: impl Into<String>) -> matcher::RegexMatcher {
    matcher::RegexMatcher { regex: pattern.into(), ..matcher::RegexMatcher::default() }
}

/// A pattern and what to put in place of what it finds.
pub(super) fn substitute(pattern: String, substitution: String) -> matcher::RegexMatchAndSubstitute {
    matcher::RegexMatchAndSubstitute { pattern: Some(regex(pattern)), substitution }
}

/// A test of a piece of text.
pub(super) fn string(pattern: matcher::string_matcher::MatchPattern) -> matcher::StringMatcher {
    matcher::StringMatcher { match_pattern: Some(pattern), ..matcher::StringMatcher::default() }
}

/// `text` with everything escaped that RE2 would take for more than itself.
pub(super) fn escape(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() && !character.is_ascii_alphanumeric() && !matches!(character, '/' | '_' | '-') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// An address of IP and port.
pub(super) fn address(address: &str, port: u16) -> core::Address {
    core::Address {
        address: Some(core::address::Address::SocketAddress(core::SocketAddress {
            address: address.to_owned(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
            ..core::SocketAddress::default()
        })),
    }
}
