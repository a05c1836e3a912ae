//! What is logged.

use super::super::units::Start;
use super::Converter;
use crate::services::ServiceName;

impl Converter<'_> {
    pub(super) fn log(&mut self, name: Option<&ServiceName>) {
        let name = name.map_or_else(|| self.service.id.to_string(), ServiceName::to_string);
        let journal = match self.start {
            Start::Serve => {
                format!("each connection has an entry in the journal: journalctl -t {name}")
            }
            _ => format!("the journal has each start: journalctl -u {name}.service"),
        };
        if let Some(setting) = self.service.setting("log_type") {
            self.otherwise("log_type", setting, &journal);
        }
        for attribute in ["log_on_success", "log_on_failure"] {
            let Some(setting) = self.service.setting(attribute) else {
                continue;
            };
            if setting.values.is_empty() {
                let which = match attribute {
                    "log_on_success" => "accepted",
                    _ => "refused",
                };
                let text = format!("xinetd logs no {which} connections; {journal}");
                self.otherwise(attribute, setting, &text);
                continue;
            }
            let asks = setting.values.iter().any(|word| word.is("USERID"));
            match asks {
                true => self.lost(
                    attribute,
                    setting,
                    &format!("{journal}; nobody asks the client's host for the user"),
                ),
                false => self.otherwise(attribute, setting, &journal),
            }
        }
    }
}
