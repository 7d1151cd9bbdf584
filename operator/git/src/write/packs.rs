//! Few packs instead of many: each group of commits leaves one, and looking for an object looks into all of them.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
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
/// When that fails, or somebody else repacks at the same time. All objects are still there.
pub(crate) fn gather(repository: &Path) -> Result<(), git2::Error> {
    // A repository of its own: libgit2 keeps what it has read in memory for as long as one is open.
    let git = git2::Repository::open(repository)?;
    durable(&git).map_err(|error| git2::Error::from_str(&error.to_string()))?;
    let folder = packs(&git);
    sweep(&folder);
    let mut all = listed(&folder);
    all.sort_by_key(|pack| pack.objects);
    let few = small(&all);
    if few < 2 {
        return Ok(());
    }
    all.truncate(few);
    let mut pack = git.packbuilder()?;
    for old in &all {
        for id in objects(&old.index, old.objects).unwrap_or_default() {
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
fn listed(folder: &Path) -> Vec<Pack> {
    let together = fs::read(folder.join("multi-pack-index")).unwrap_or_default();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let free = entries.filter(|path| path.extension().is_some_and(|extension| extension == "idx")).filter(|path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let marked = ["keep", "promisor", "mtimes", "bitmap"].iter().any(|mark| path.with_extension(mark).exists());
        !marked && !together.windows(name.len()).any(|window| window == name)
    });
    let counted = free.filter_map(|index| Some(Pack { objects: number_of(&index).ok()?, index }));
    counted.filter(|pack| pack.objects <= LARGE).collect()
}

/// Where the ids begin in an index of version 2: behind its header and a table of 256 numbers, the last of which is how many
/// there are (gitformat-pack(5)).
const IDS: u64 = 8 + 256 * 4;

fn number_of(index: &Path) -> std::io::Result<usize> {
    let mut file = File::open(index)?;
    let (mut header, mut count) = ([0; 8], [0; 4]);
    file.read_exact(&mut header)?;
    if header != [0xff, b't', b'O', b'c', 0, 0, 0, 2] {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    file.seek(SeekFrom::Start(IDS - 4))?;
    file.read_exact(&mut count)?;
    Ok(u32::from_be_bytes(count) as usize)
}

fn objects(index: &Path, count: usize) -> std::io::Result<Vec<Oid>> {
    let mut file = File::open(index)?;
    file.seek(SeekFrom::Start(IDS))?;
    let mut ids = vec![0; count * 20];
    file.read_exact(&mut ids)?;
    Ok(ids.chunks_exact(20).filter_map(|id| Oid::from_bytes(id).ok()).collect())
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
}
