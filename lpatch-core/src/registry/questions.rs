// SPDX-License-Identifier: GPL-2.0

//! Questions about the registry and its patches.

use crate::{
    ffi,
    model::{refusal::Refusal, verify::Kernel},
    patch::{loaded::Compared, Patch},
    registry::Registry,
    running::view,
    uapi,
};
use kernel::prelude::*;

impl Registry {
    /// What there is.
    #[inline(never)]
    pub(crate) fn query(&mut self, q: &mut uapi::Query) {
        q.abi = uapi::ABI_VERSION;
        q.features = uapi::F_CONSISTENCY;
        q.page_size = kernel::page::PAGE_SIZE as u32;
        q.orc_per_page = ffi::LP_ORC_PER_PAGE;
        q.ex_per_page = ffi::LP_EX_PER_PAGE;
        q.bugs_total = self.memory.bugs.total() as u32;
        q.bugs_free = self.memory.bugs.free() as u32;
        q.patches = self.patches.len() as u32;
        q.text_total = self.memory.text.total();
        q.text_free = self.memory.text.free();
        q.rodata_total = self.memory.rodata.total();
        q.rodata_free = self.memory.rodata.free();
        q.data_total = self.memory.data.total();
        q.data_free = self.memory.data.free();
        q.image_max = uapi::IMAGE_MAX.into();
        q.lingering = self.lingering();
        q.orc_hash = Kernel::orc_hash(&view::Running::new());
    }

    /// All patches, oldest first.
    #[inline(never)]
    pub(crate) fn list(&self) -> Result<KVVec<uapi::PatchInfo>, Refusal> {
        let mut all = KVVec::with_capacity(self.patches.len(), GFP_KERNEL)?;
        for patch in self.patches.iter() {
            all.push(self.info(patch), GFP_KERNEL)?;
        }
        Ok(all)
    }

    /// How the text of a patch differs from what was loaded; the first `limit` differences are described.
    #[inline(never)]
    pub(crate) fn compare(
        &self,
        name: &[u8; uapi::NAME_LEN],
        limit: usize,
    ) -> Result<Compared, Refusal> {
        self.patches[self.position(name)?].compare(limit)
    }

    /// One patch with the functions that it replaces, of which the first `limit` are described.
    #[inline(never)]
    pub(crate) fn status(
        &self,
        name: &[u8; uapi::NAME_LEN],
        limit: usize,
    ) -> Result<(uapi::PatchInfo, KVVec<uapi::FuncInfo>), Refusal> {
        let patch = &self.patches[self.position(name)?];
        let len = patch.funcs().len().min(limit);
        let mut funcs = KVVec::with_capacity(len, GFP_KERNEL)?;
        for (func, site) in patch.funcs()[..len].iter().zip(patch.sites()) {
            if let Some(info) = add(&mut funcs) {
                patch.func_info(func, info);
                (info.path, info.path_errno) = match patch.left_out_of(func) {
                    Some(reason) => (uapi::PATH_LEFT_OUT, reason.code()),
                    None => self.engine.path(patch, *site),
                };
            }
        }
        Ok((self.info(patch), funcs))
    }

    fn info(&self, patch: &Patch) -> uapi::PatchInfo {
        let id = patch.id();
        let mut info = patch.info(self.state_of(id), self.engine.rank(id));
        if self.in_callback(patch).is_some() {
            info.flags |= uapi::PATCH_IN_CALLBACK;
        }
        info
    }
}

/// Adds an entry of nothing, for which there is room. A function of its own, since entries are large for a kernel stack.
#[inline(never)]
fn add(all: &mut KVVec<uapi::FuncInfo>) -> Option<&mut uapi::FuncInfo> {
    all.push_within_capacity(uapi::FuncInfo::default()).ok()?;
    all.last_mut()
}
