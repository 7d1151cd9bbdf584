//! Where a commit is shown elsewhere, as far as the address of a repository tells.

/// The page of a commit, where the repository's address has the shape of a known forge's. Names and passwords in it are left out.
pub(crate) fn page(repository: &str, commit: &str) -> Option<String> {
    let rest = repository.strip_prefix("https://")?;
    let (authority, path) = rest.split_once('/')?;
    let host = authority.rsplit('@').next()?;
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let is_plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte))
    };
    if !is_plain(host) || !is_plain(path) || path.split('/').any(|part| part.is_empty() || part == "..") {
        return None;
    }
    let name = host.split(':').next()?.to_ascii_lowercase();
    let is = |known: &str| name.split('.').any(|label| label == known);
    let below = if is("github") || is("gitea") || is("forgejo") || is("codeberg") {
        "commit"
    } else if is("gitlab") {
        "-/commit"
    } else if is("bitbucket") {
        "commits"
    } else {
        return None;
    };
    Some(format!("https://{host}/{path}/{below}/{commit}"))
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn forges_are_known_by_their_names() {
        let of = |repository: &str| page(repository, "abc");
        assert_eq!(of("https://github.com/acme/apis.git").as_deref(), Some("https://github.com/acme/apis/commit/abc"));
        assert_eq!(
            of("https://ann:secret@gitlab.acme.example:8443/platform/apis/").as_deref(),
            Some("https://gitlab.acme.example:8443/platform/apis/-/commit/abc")
        );
        assert_eq!(
            of("https://bitbucket.org/acme/apis").as_deref(),
            Some("https://bitbucket.org/acme/apis/commits/abc")
        );
        for unknown in [
            "https://git.acme.example/apis.git",
            "http://github.com/acme/apis",
            "git@github.com:acme/apis.git",
            "https://github.com/",
            "https://github.com/../x",
            "https://github.com/a\"b/c",
            "/srv/apis",
        ] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }
}
