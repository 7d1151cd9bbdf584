//! The design system: what pages are made of. `assets/portal.css` gives it its looks, and `/design` shows it.

mod frame;
mod parts;

pub(crate) use frame::{Frame, Place, page};
pub(crate) use parts::{
    Crumb, Icon, Tab, badge, command, crumbs, csrf, empty, facts, icon, lines, notice, pages_of, tabs, when,
};
