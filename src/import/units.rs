//! The units of an imported service.

use crate::attach::{self, Attachment, RenderedUnit};

/// The units of a service whose program `sockunit serve` starts for each connection.
pub(super) fn render(attachment: &Attachment) -> Vec<RenderedUnit> {
    attach::render_imported(attachment).into()
}
