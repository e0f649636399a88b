//! bbolt's file, as far as a reader needs it: pages, trees, buckets.
//!
//! ```text
//! page:     id:u64 flags:u16 count:u16 overflow:u32 elements…            all little-endian; flags 1 branch, 2 leaf
//! branch:   pos:u32 ksize:u32 child:u64                                  pos is counted from the element itself
//! leaf:     flags:u32 pos:u32 ksize:u32 vsize:u32                        flags 1: the value is a bucket
//! bucket:   root:u64 sequence:u64                                        root 0: its only page follows inline
//! meta:     at 16 of page 0 and page 1: magic:u32 version:u32 pagesize:u32 flags:u32 root:u64 seq:u64 freelist:u64
//!           hwm:u64 txid:u64 checksum:u64                                FNV-1a over the 56 bytes before it
//! ```
//!
//! A transaction writes new pages and then one of the two meta pages, so that the other one still describes the state
//! before it: of those that are whole, the one with the larger txid holds.

use crate::cursor::Cursor;
use crate::error::Broken;
use crate::hash;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const PAGE_HEAD: usize = 16;
/// Trees are a few pages deep; a file whose pages point in a circle is not.
const DEPTH: usize = 32;

/// An open database.
#[derive(Clone, Debug)]
pub struct Bolt<'a> {
    name: &'a str,
    bytes: &'a [u8],
    page_size: usize,
    root: u64,
    /// The number of the transaction that wrote it.
    pub txid: u64,
}

/// Keys and values, in the order of the keys.
pub(crate) type Items<'a> = Vec<(&'a [u8], &'a [u8])>;

#[derive(Clone, Copy, Debug)]
struct Item<'a> {
    key: &'a [u8],
    value: &'a [u8],
    is_bucket: bool,
}

impl<'a> Bolt<'a> {
    /// Finds the meta page that holds.
    pub fn open(name: &'a str, bytes: &'a [u8]) -> Result<Bolt<'a>, Broken> {
        // The second meta page lies at the page size, which only a meta page tells.
        let sizes = (9..=16).map(|bits| 1usize << bits);
        let found = std::iter::once(0).chain(sizes).filter_map(|at| meta(bytes, at));
        let (txid, root, page_size) = found
            .max_by_key(|(txid, ..)| *txid)
            .ok_or_else(|| Broken::new(name, 0, "no meta page is whole and of version 2"))?;
        Ok(Bolt { name, bytes, page_size, root, txid })
    }

    /// Returns the names of the buckets.
    pub fn buckets(&self) -> Result<Vec<&'a [u8]>, Broken> {
        let items = self.tree(self.root)?;
        Ok(items.into_iter().filter(|item| item.is_bucket).map(|item| item.key).collect())
    }

    /// Returns what is in a bucket; nothing where there is no such bucket.
    pub(crate) fn bucket(&self, name: &str) -> Result<Option<Items<'a>>, Broken> {
        let items = self.tree(self.root)?;
        let found = items.into_iter().find(|item| item.is_bucket && item.key == name.as_bytes());
        let Some(item) = found else { return Ok(None) };
        let mut head = Cursor::new(item.value);
        let root = head.u64_le().ok_or_else(|| self.broken(0, "a bucket is cut off"))?;
        let mut items = Vec::new();
        if root == 0 {
            let page = item.value.get(PAGE_HEAD..).unwrap_or_default();
            self.page(page, 0, 0, &mut items, &mut self.pages())?;
        } else {
            items = self.tree(root)?;
        }
        Ok(Some(items.into_iter().map(|item| (item.key, item.value)).collect()))
    }

    fn tree(&self, root: u64) -> Result<Vec<Item<'a>>, Broken> {
        let mut items = Vec::new();
        self.descend(root, 0, &mut items, &mut self.pages())?;
        Ok(items)
    }

    /// How many pages may be visited: each stands in a tree once.
    fn pages(&self) -> usize {
        self.bytes.len() / self.page_size + 1
    }

    fn descend(
        &self,
        id: u64,
        depth: usize,
        items: &mut Vec<Item<'a>>,
        left: &mut usize,
    ) -> Result<(), Broken> {
        let offset = usize::try_from(id).ok().and_then(|id| id.checked_mul(self.page_size));
        let offset = offset.unwrap_or(usize::MAX);
        let page = self.bytes.get(offset..);
        let page = page.ok_or_else(|| self.broken(offset, "a page lies behind the end"))?;
        if depth >= DEPTH || *left == 0 {
            return Err(self.broken(offset, "the pages are no tree"));
        }
        *left -= 1;
        if Cursor::new(page).u64_le() != Some(id) {
            return Err(self.broken(offset, format!("the page here is not page {id}")));
        }
        self.page(page, offset, depth, items, left)
    }

    fn page(
        &self,
        page: &'a [u8],
        offset: usize,
        depth: usize,
        items: &mut Vec<Item<'a>>,
        left: &mut usize,
    ) -> Result<(), Broken> {
        let cut_off = || self.broken(offset, "a page is cut off");
        let mut head = Cursor::new(page);
        let (_, flags, count) = (
            head.u64_le().ok_or_else(cut_off)?,
            head.u16_le().ok_or_else(cut_off)?,
            head.u16_le().ok_or_else(cut_off)?,
        );
        for number in 0..usize::from(count) {
            let element = page.get(PAGE_HEAD + 16 * number..).ok_or_else(cut_off)?;
            match flags {
                BRANCH => {
                    let child = element.get(8..).and_then(|rest| Cursor::new(rest).u64_le());
                    self.descend(child.ok_or_else(cut_off)?, depth + 1, items, left)?;
                }
                LEAF => items.push(leaf(element).ok_or_else(cut_off)?),
                other => {
                    return Err(
                        self.broken(offset, format!("a page of flags {other:#x} in a tree"))
                    );
                }
            }
        }
        Ok(())
    }

    fn broken(&self, offset: usize, why: impl Into<String>) -> Broken {
        Broken::new(self.name, offset, why)
    }
}

fn leaf(element: &[u8]) -> Option<Item<'_>> {
    let mut fields = Cursor::new(element);
    let (flags, pos) = (fields.u32_le()?, fields.u32_le()?);
    let (ksize, vsize) = (fields.u32_le()?, fields.u32_le()?);
    let mut data = Cursor::new(element.get(pos as usize..)?);
    let key = data.take(u64::from(ksize))?;
    let value = data.take(u64::from(vsize))?;
    Some(Item { key, value, is_bucket: flags & 1 != 0 })
}

/// Reads the meta page at an offset, if it is whole: txid, root and page size.
fn meta(bytes: &[u8], at: usize) -> Option<(u64, u64, usize)> {
    let body = bytes.get(at + PAGE_HEAD..at + PAGE_HEAD + 64)?;
    let mut fields = Cursor::new(body);
    let (magic, version) = (fields.u32_le()?, fields.u32_le()?);
    let (page_size, _flags) = (fields.u32_le()? as usize, fields.u32_le()?);
    let (root, _seq, _free) = (fields.u64_le()?, fields.u64_le()?, fields.u64_le()?);
    let (_hwm, txid, sum) = (fields.u64_le()?, fields.u64_le()?, fields.u64_le()?);
    let whole = hash::more(hash::START, &body[..56]) == sum;
    let known = magic == MAGIC && version == VERSION && page_size.is_power_of_two();
    let in_place = at == 0 || at == page_size;
    (whole && known && in_place && page_size >= 512).then_some((txid, root, page_size))
}
