//! Questions at one stage of a store's life, by every way in: each answer is held against what the history says, against the other ways, and
//! against tcpdump.

use crate::compare::{self, Kind, Truth};
use crate::judge::Judge;
use crate::life::Life;
use crate::questions::{self, Question};
use crate::totals::{self, ByName};
use crate::ways::{self, FilesAlone, Way};

impl Life<'_> {
    /// What came to a follower is what a query gives at the end, but for the order of what came late.
    pub fn followed(&mut self, stage: &str, q: &Question, reply: &Result<ways::Reply, String>) {
        if self.history.is_chance(&q.filter) {
            return;
        }
        self.report.questions += 1;
        let kept = &self.model.kept;
        let judge = Judge::new(&self.dir, "followed", kept.iter().map(|p| (p.link, p.wire, &p.data[..])));
        let matching = judge.matching(&q.filter).or_else(|| judge.takes(&q.filter).then(Vec::new));
        let truth = Truth {
            history: self.history,
            kept,
            connections: &self.model.connections,
            matching,
            refusing: judge.refusing(&q.filter),
            knows_running: true,
            common: judge.takes(&q.filter),
            may_run: Default::default(),
        };
        if let Some(wrong) = truth.wrong_of_follower(q, reply) {
            self.wrong(stage, wrong.0, &format!("follower: {q}: {}", wrong.1));
        }
    }

    /// Some questions, by every way.
    pub fn ask(&mut self, stage: &str, ways: &[Way]) {
        self.report.stages += 1;
        let files = FilesAlone::new(&self.store);
        let at_rest = ways.iter().any(|w| matches!(w, Way::Scan));
        let (kept, history) = (&self.model.kept, self.history);
        let judge = Judge::new(&self.dir, "kept", kept.iter().map(|p| (p.link, p.wire, &p.data[..])));
        let named = history.classes.iter().enumerate().filter(|(n, _)| self.model.has(*n));
        let classes: Vec<&'static str> = named.map(|(_, c)| c.name).collect();
        let mut asked = vec![Question::default()];
        let n = if history.quick { self.dice.from(2, 4) } else { self.dice.from(2, 6) };
        asked.extend((0..n).map(|_| questions::any(&mut self.dice, &classes, kept, &self.model.connections)));
        let may_run = if at_rest { Default::default() } else { self.model.may_run() };
        let mut findings = Vec::new();
        for q in asked.iter().filter(|q| !history.is_chance(&q.filter)) {
            let matching = judge.matching(&q.filter).or_else(|| judge.takes(&q.filter).then(Vec::new));
            let refusing = judge.refusing(&q.filter);
            let refusing = if q.any_layer && judge.takes_inside(&q.filter) { Vec::new() } else { refusing };
            let mut truth = Truth {
                history,
                kept,
                connections: &self.model.connections,
                matching,
                refusing,
                knows_running: true,
                common: judge.takes(&q.filter),
                may_run: may_run.clone(),
            };
            if self.programs() && n % 2 == 0 {
                match judge.tcpdump(&q.filter) {
                    Ok(by) if by != truth.matching && !(by.is_none() && truth.matching == Some(Vec::new())) => {
                        findings.push((Kind::Packets, format!("{q}: tcpdump selects other packets than libpcap")));
                    }
                    Ok(_) => {}
                    Err(_) => self.report.without_tcpdump = true,
                }
            }
            let mut first: Option<(Vec<ways::Got>, bool)> = None;
            for way in ways {
                self.report.questions += 1;
                truth.knows_running = at_rest || !matches!(way, Way::Direct);
                let reply = ways::ask(way, &files, q);
                if matches!(way, Way::Memory(_)) {
                    let wrong = truth.wrong_of_memory(q, &reply);
                    findings.extend(wrong.map(|(kind, wrong)| (kind, format!("{way}: {q}: {wrong}"))));
                    continue;
                }
                let mut wrong = truth.wrong(q, &reply);
                if let (None, Ok(reply)) = (&wrong, &reply)
                    && let Some(packets) = &reply.packets
                {
                    let mut sorted = packets.clone();
                    sorted.sort();
                    // The program says it in words.
                    let damaged = reply.summary.as_ref().is_none_or(compare::says_damaged);
                    match &first {
                        Some((first, of_first)) if *first != sorted && q.limit.is_none() => {
                            let other = compare::difference(first, *of_first, &sorted, damaged);
                            wrong = other.map(|text| (Kind::Packets, text));
                        }
                        _ => first = Some((sorted, damaged)),
                    }
                }
                findings.extend(wrong.map(|(kind, wrong)| (kind, format!("{way}: {q}: {wrong}"))));
            }
        }
        for _ in 0..2 {
            let by = ByName::any(&mut self.dice);
            let mut q = questions::any(&mut self.dice, &classes, kept, &self.model.connections);
            q = Question { filter: by.text(), conn: None, any_layer: false, limit: None, ..q };
            let refused = !judge.takes(&q.filter) || !judge.refusing(&q.filter).is_empty();
            let matching = judge.matching(&q.filter).unwrap_or_default();
            let connections = &self.model.connections;
            let asked =
                totals::Asked { history, q: &q, by: &by, kept, connections, matching: &matching, may_run: &may_run };
            for way in ways {
                let wrong = match way {
                    Way::Direct => match files.connections(&q) {
                        // What runs has no receipt yet, and the files know no more than its packets.
                        Ok(_) if !at_rest => None,
                        Ok(found) => asked.list_wrong(&found.connections),
                        Err(e) => Some(format!("refused: {e}")),
                    },
                    Way::Api(socket) => match ways::listed(socket, &q) {
                        Ok((lines, summary)) => {
                            let (lines, n) = (lines.len() as u64, summary.connections);
                            let (least, most) = asked.count().unwrap_or((0, u64::MAX));
                            let wrong = lines != n || !(least..=most).contains(&n);
                            wrong
                                .then(|| format!("{lines} connections, {n} in the summary, {least} to {most} expected"))
                        }
                        Err(e) => Some(format!("refused: {e}")),
                    },
                    _ => continue,
                };
                self.report.questions += 1;
                if !refused {
                    findings.extend(wrong.map(|w| (Kind::Connections, format!("{way}: connections {q}: {w}"))));
                }
            }
        }
        findings.iter().for_each(|(kind, f)| self.wrong(stage, *kind, f));
    }
}
