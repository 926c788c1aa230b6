##! Publishes notices for `retrotap nids zeek`, and asks it for the packets of connections. Both within limits: what is above them is counted
##! and told once a minute. The order of the events' arguments is what retrotap reads (src/nids/zeek/event.rs): add at the end only with it.

module Retrotap;

export {
	## Notices are published here.
	const notice_topic = "retrotap/notice" &redef;

	## Requests for packets are published here.
	const request_topic = "retrotap/request" &redef;

	## Answers come from here.
	const answer_topic = "retrotap/answer" &redef;

	## Notices that are not published.
	const ignored: set[Notice::Type] = {} &redef;

	## Most notices and requests of one minute, each.
	const max_per_minute = 600 &redef;

	## A notice. Where it has no connection, *has_conn* is F and the last four are of no meaning; an address that it lacks is ``::``.
	global notice: event(note: string, msg: string, sub: string, ts: time, uid: string, src: addr, dst: addr,
	    has_conn: bool, orig_h: addr, orig_p: port, resp_h: addr, resp_p: port);

	## Asks for the packets of a connection. *request* comes back in the answer; *began* is its first packet's time, or 0.
	global request: event(request: string, ts: time, began: time, uid: string, reason: string,
	    orig_h: addr, orig_p: port, resp_h: addr, resp_p: port);

	## The answer: the packets are held under the name *hold*, in *file* on retrotap's machine; or why they are not.
	global answer: event(request: string, good: bool, hold: string, file: string, packets: count, bytes: count, why: string);

	## Asks for the packets of a connection, by a script. Returns the request's name, or "" if the limit is reached.
	global request_packets: function(c: connection, reason: string): string;
}

global published: table[string] of count &default=0;
global withheld: table[string] of count &default=0;

# Whether one more of this kind is within the limit.
function within_limit(what: string): bool
	{
	if ( published[what] >= max_per_minute )
		{
		++withheld[what];
		return F;
		}

	++published[what];
	return T;
	}

event Retrotap::new_minute()
	{
	for ( what, n in withheld )
		Reporter::warning(fmt("retrotap: %d %s were not published: more than %d a minute", n, what, max_per_minute));

	clear_table(published);
	clear_table(withheld);
	schedule 1min { Retrotap::new_minute() };
	}

event zeek_init()
	{
	Cluster::subscribe(answer_topic);
	schedule 1min { Retrotap::new_minute() };
	}

event Notice::log_notice(rec: Notice::Info)
	{
	if ( rec$note in ignored || ! within_limit("notices") )
		return;

	local ts = rec?$ts ? rec$ts : network_time();
	local uid = rec?$uid ? rec$uid : "";
	local sub_text = rec?$sub ? rec$sub : "";
	local msg = rec?$msg ? rec$msg : "";
	local src = rec?$src ? rec$src : [::];
	local dst = rec?$dst ? rec$dst : [::];
	local note = fmt("%s", rec$note);

	if ( rec?$id )
		Cluster::publish(notice_topic, Retrotap::notice, note, msg, sub_text, ts, uid, src, dst, T,
		    rec$id$orig_h, rec$id$orig_p, rec$id$resp_h, rec$id$resp_p);
	else
		Cluster::publish(notice_topic, Retrotap::notice, note, msg, sub_text, ts, uid, src, dst, F,
		    [::], 0/unknown, [::], 0/unknown);
	}

function request_packets(c: connection, reason: string): string
	{
	if ( ! within_limit("requests") )
		return "";

	local name = unique_id("R");
	Cluster::publish(request_topic, Retrotap::request, name, network_time(), c$start_time, c$uid, reason,
	    c$id$orig_h, c$id$orig_p, c$id$resp_h, c$id$resp_p);
	return name;
	}
