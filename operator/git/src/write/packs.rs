//! Few packs instead of many: each group of commits leaves one, and looking for an object looks into all of them.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::Oid;

use super::store::{durable, packs};

/// So many packs may be there before small ones are put together.
pub(crate) const MANY: usize = 48;

/// Packs with more objects than this are left to `git gc`.
const LARGE: usize = 200_000;

/// Nobody takes as long as this to write a pack.
const ABANDONED: Duration = Duration::from_hours(1);

/// A pack with so many objects.
#[derive(Debug)]
struct Pack {
    index: PathBuf,
    objects: usize,
}

/// How many packs there are.
pub(crate) fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "idx")).count()
}

/// Puts small packs together, so that each that stays has at least twice as many objects as all smaller ones: as `git repack
/// --geometric=2` does. Objects are never dropped, and old packs go when the new one is on the disk.
///
/// # Errors
///
/// When that fails, somebody else repacks at the same time, or it cannot be told what is in a pack. All objects are still there.
pub(crate) fn gather(repository: &Path) -> Result<(), git2::Error> {
    // A repository of its own: libgit2 keeps what it has read in memory for as long as one is open.
    let git = git2::Repository::open(repository)?;
    durable(&git).map_err(|error| git2::Error::from_str(&error.to_string()))?;
    let folder = packs(&git);
    sweep(&folder);
    let mut all = listed(&folder).map_err(|error| unreadable(&folder, &error))?;
    all.sort_by_key(|pack| pack.objects);
    let few = small(&all);
    if few < 2 {
        return Ok(());
    }
    all.truncate(few);
    let mut pack = git.packbuilder()?;
    for old in &all {
        // What is not known to be in a pack would go with it.
        for id in objects(&old.index, old.objects).map_err(|error| unreadable(&old.index, &error))? {
            pack.insert_object(id, None)?;
        }
    }
    pack.write(&folder, 0)?;
    let new = pack.name()?.map(|name| folder.join(format!("pack-{name}.idx")));
    for old in all.iter().filter(|old| Some(&old.index) != new.as_ref()) {
        // Without its index nobody looks into a pack any more. Who has it open goes on reading it.
        for extension in ["idx", "rev", "pack"] {
            let _ = fs::remove_file(old.index.with_extension(extension));
        }
    }
    Ok(())
}

/// Takes away what libgit2 was writing when a process ended in the middle of it.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let begun = entry.file_name().as_encoded_bytes().starts_with(b"pack_git2_");
        let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|then| then.elapsed().ok());
        if begun && age.is_some_and(|age| age > ABANDONED) {
            // Somebody else may have been faster.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// How many of the packs, from the smallest on, are to become one.
fn small(packs: &[Pack]) -> usize {
    let mut few = packs.len();
    // The longest end in which each is at least twice as large as the one before.
    while few > 1 && packs[few - 1].objects >= 2 * packs[few - 2].objects {
        few -= 1;
    }
    if few == 1 {
        return 0;
    }
    let mut sum: usize = packs[..few].iter().map(|pack| pack.objects).sum();
    while let Some(next) = packs.get(few).filter(|next| next.objects < 2 * sum) {
        sum += next.objects;
        few += 1;
    }
    few
}

/// The packs that may be replaced: not those that Git has marked, or has other files about.
fn listed(folder: &Path) -> io::Result<Vec<Pack>> {
    let together = there(fs::read(folder.join("multi-pack-index")))?.unwrap_or_default();
    let mut packs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let index = entry?.path();
        if index.extension().is_none_or(|extension| extension != "idx") {
            continue;
        }
        let name = index.file_name().unwrap_or_default().as_encoded_bytes();
        let mut marked = together.windows(name.len()).any(|window| window == name);
        for mark in ["keep", "promisor", "mtimes", "bitmap"] {
            marked |= index.with_extension(mark).try_exists()?;
        }
        if !marked && let Some(objects) = there(number_of(&index))?.flatten().filter(|objects| *objects <= LARGE) {
            packs.push(Pack { index, objects });
        }
    }
    Ok(packs)
}

/// What was read; `None` where there is nothing of that name. Whatever cannot be read is there.
fn there<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> git2::Error {
    git2::Error::from_str(&format!("cannot read {}: {error}", path.display()))
}

/// Where the ids begin in an index of version 2: behind its header and a table of 256 numbers, the last of which is how many
/// there are (gitformat-pack(5)).
const IDS: u64 = 8 + 256 * 4;

/// What an index has for each object: its id, a checksum and where it is in the pack. Two checksums end it.
const EACH: u64 = 20 + 4 + 4;
const END: u64 = 20 + 20;

/// How many objects an index lists; `None` of one that is of another version, longer than two gigabytes of pack make it, or
/// damaged: what such a one lists is not known.
fn number_of(index: &Path) -> io::Result<Option<usize>> {
    let mut file = File::open(index)?;
    let length = file.metadata()?.len();
    let (mut header, mut count) = ([0; 8], [0; 4]);
    if length < IDS + END {
        return Ok(None);
    }
    file.read_exact(&mut header)?;
    file.seek(SeekFrom::Start(IDS - 4))?;
    file.read_exact(&mut count)?;
    let count = u32::from_be_bytes(count);
    let sound = header == [0xff, b't', b'O', b'c', 0, 0, 0, 2] && length == IDS + u64::from(count) * EACH + END;
    Ok(sound.then_some(count as usize))
}

fn objects(index: &Path, count: usize) -> io::Result<Vec<Oid>> {
    let mut file = File::open(index)?;
    file.seek(SeekFrom::Start(IDS))?;
    let mut ids = vec![0; count * 20];
    file.read_exact(&mut ids)?;
    let ids = ids.chunks_exact(20).map(|id| Oid::from_bytes(id).map_err(io::Error::other));
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_packs_are_put_together_and_large_ones_stay() {
        let check = |sizes: &[usize], few| {
            let packs: Vec<Pack> =
                sizes.iter().map(|objects| Pack { index: PathBuf::new(), objects: *objects }).collect();
            assert_eq!(small(&packs), few, "{sizes:?}");
        };
        check(&[], 0);
        check(&[5], 0);
        check(&[5, 10, 20, 100], 0);
        check(&[5, 5, 100], 2);
        check(&[5, 5, 15, 100], 3);
        check(&[5, 5, 5, 5, 40, 100], 4);
    }

    /// A bare repository of three small packs with a blob each.
    fn three() -> (tempfile::TempDir, Vec<Oid>, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let git = git2::Repository::init_bare(folder.path()).unwrap();
        fs::create_dir_all(packs(&git)).unwrap();
        let mut blobs = Vec::new();
        for number in 0..3 {
            let blob = git.blob(format!("blob {number}").as_bytes()).unwrap();
            let mut pack = git.packbuilder().unwrap();
            pack.insert_object(blob, None).unwrap();
            pack.write(&packs(&git), 0).unwrap();
            let loose = blob.to_string();
            fs::remove_file(git.path().join("objects").join(&loose[..2]).join(&loose[2..])).unwrap();
            blobs.push(blob);
        }
        let files = indexes(&packs(&git));
        assert_eq!(files.len(), 3);
        (folder, blobs, files)
    }

    fn indexes(folder: &Path) -> Vec<PathBuf> {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "idx")).collect();
        files.sort();
        files
    }

    #[test]
    fn they_are_put_together_with_all_their_objects() {
        let (folder, blobs, files) = three();
        gather(folder.path()).unwrap();
        assert_eq!(indexes(files[0].parent().unwrap()).len(), 1);
        let git = git2::Repository::open(folder.path()).unwrap();
        for blob in blobs {
            git.find_blob(blob).unwrap();
        }
    }

    #[test]
    fn a_pack_of_which_it_is_not_known_what_is_in_it_stays() {
        for damage in ["a shorter index", "a count that is too small", "an index that cannot be read"] {
            let (folder, blobs, files) = three();
            let whole = fs::read(&files[0]).unwrap();
            fs::set_permissions(&files[0], std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
            match damage {
                "a shorter index" => fs::write(&files[0], &whole[..whole.len() - 10]).unwrap(),
                "a count that is too small" => {
                    let mut fewer = whole.clone();
                    fewer[8..1032].fill(0);
                    fs::write(&files[0], fewer).unwrap();
                }
                _ => {
                    fs::remove_file(&files[0]).unwrap();
                    fs::create_dir(&files[0]).unwrap();
                }
            }
            // Where a file cannot be read, nothing is touched; where it does not say what it must, the others are put together.
            assert_eq!(gather(folder.path()).is_err(), damage == "an index that cannot be read", "{damage}");
            assert!(files[0].with_extension("pack").exists(), "{damage}");
            if files[0].is_dir() {
                fs::remove_dir(&files[0]).unwrap();
            }
            fs::write(&files[0], whole).unwrap();
            let git = git2::Repository::open(folder.path()).unwrap();
            for blob in blobs {
                assert!(git.find_blob(blob).is_ok(), "{damage}");
            }
        }
    }

    #[test]
    fn while_it_is_not_known_which_packs_git_has_put_together_all_stay() {
        let (folder, _, files) = three();
        let together = files[0].with_file_name("multi-pack-index");
        fs::create_dir(&together).unwrap();
        assert!(gather(folder.path()).is_err());
        assert_eq!(indexes(files[0].parent().unwrap()), files);
        fs::remove_dir(&together).unwrap();
        // Those that it names stay.
        let named: Vec<u8> =
            files[1..].iter().flat_map(|file| file.file_name().unwrap().as_encoded_bytes().to_vec()).collect();
        fs::write(&together, named).unwrap();
        gather(folder.path()).unwrap();
        assert_eq!(indexes(files[0].parent().unwrap()), files);
    }

    #[test]
    fn an_index_that_ends_early_does_not_list_fewer_objects() {
        let (_folder, blobs, files) = three();
        assert_eq!(number_of(&files[0]).unwrap(), Some(1));
        assert!(blobs.contains(&objects(&files[0], 1).unwrap()[0]));
        assert!(objects(&files[0], 1_000).is_err());
    }
}
