import assert from "node:assert/strict";
import { test } from "node:test";
import { ignoredFor, readMessages, Unreadable } from "../src/message/read.js";

const ROBOT = "wxid_robot3p9x6c1";
const ROOM = "39284750116@chatroom";
const LISTED = `<msgsource><atuserlist><![CDATA[,${ROBOT}]]></atuserlist><silence>0</silence></msgsource>`;

/** Family A; members in extra replace those of the message. */
function familyA(extra, data = {}) {
  const message = { FromUserName: { string: "wxid_ann" }, ToUserName: { string: ROBOT }, MsgType: 1, MsgId: 77, NewMsgId: "@", ...extra };
  return JSON.stringify({ TypeName: "AddMsg", Appid: "wx_app", Wxid: ROBOT, Data: message, ...data }).replace('"@"', "5203948571029384756");
}

const ANN = { id: "5203948571029384756", conversation: "wxid_ann", sender: "wxid_ann", group: false, self: false, text: "hello", kind: "text" };
const IN_ROOM = { ...ANN, conversation: ROOM, group: true };

const rows = [
  {
    name: "A, private",
    body: familyA({ Content: { string: "hello" }, PushContent: "Ann : hello", CreateTime: 1788000000 }),
    want: { ...ANN, nickname: "Ann", account: ROBOT, mentioned: false, at: 1788000000000 },
  },
  {
    name: "A, lower snake envelope",
    body: `{"type_name":"AddMsg","wxid":"${ROBOT}","data":{"FromUserName":{"string":"wxid_ann"},"ToUserName":{"string":"${ROBOT}"},"MsgType":1,"Content":{"string":"hello"},"NewMsgId":5203948571029384756}}`,
    want: ANN,
  },
  {
    name: "A, group, mentioned by the list",
    body: familyA({ FromUserName: { string: ROOM }, Content: { string: "wxid_ann:\nhello" }, MsgSource: LISTED, PushContent: "Ann在群聊中@了你" }),
    want: { ...IN_ROOM, mentioned: true, nickname: "Ann" },
  },
  {
    name: "A, group, a mention of somebody else",
    body: familyA({ FromUserName: { string: ROOM }, Content: { string: "wxid_ann:\nhello" }, MsgSource: LISTED.replace(ROBOT, "wxid_bob") }),
    want: { ...IN_ROOM, mentioned: false },
  },
  {
    name: "A, group, all are mentioned",
    body: familyA({ FromUserName: { string: ROOM }, Content: { string: "wxid_ann:\nhello" }, MsgSource: "<msgsource><atuserlist>notify@all</atuserlist></msgsource>" }),
    want: { ...IN_ROOM, mentioned: true },
  },
  {
    name: "group text is split at the first colon and line only",
    body: familyA({ FromUserName: { string: ROOM }, Content: { string: "wxid_ann:\nthe list:\n1. tea" } }),
    want: { ...IN_ROOM, text: "the list:\n1. tea" },
  },
  {
    name: "what is no id is no sender",
    body: familyA({ FromUserName: { string: ROOM }, SenderWxid: "wxid_ann", Content: { string: "the list is:\n1. tea" } }),
    want: { ...IN_ROOM, text: "the list is:\n1. tea" },
  },
  {
    name: "a summary's text names no sender",
    body: familyA({ FromUserName: ROOM, SenderWxid: "wxid_ann", text: "wxid_owner:\nhello" }),
    want: { ...IN_ROOM, text: "wxid_owner:\nhello" },
  },
  {
    name: "a type that is a word",
    body: familyA({ MsgType: "text", Content: { string: "hello" } }),
    want: ANN,
  },
  {
    name: "a type that every object has",
    body: familyA({ MsgType: "constructor", Content: { string: "hello" } }),
    want: { kind: "other", text: "" },
    ignored: "empty",
  },
  {
    name: "a subtype that every object has",
    body: familyA({ MsgType: 49, Content: { string: "<msg><type>constructor</type></msg>" } }),
    want: { kind: "other", text: "" },
    ignored: "empty",
  },
  {
    name: "a byte order mark",
    body: `\ufeff${familyA({ Content: { string: "hello" } })}`,
    want: ANN,
  },
  {
    name: "ids of people are ids too",
    body: familyA({ FromUserName: { string: " wxid_ann\n" }, Content: { string: "hello" } }),
    want: ANN,
  },
  {
    name: "private text is never split",
    body: familyA({ Content: { string: "wxid_bob:\nhello" } }),
    want: { ...ANN, text: "wxid_bob:\nhello" },
  },
  {
    name: "a room's system event has no sender",
    body: familyA({ FromUserName: { string: ROOM }, MsgType: 10002, Content: { string: `${ROOM}:\n<sysmsg type="sysmsgtemplate"></sysmsg>` } }),
    want: { conversation: ROOM, sender: "", kind: "system" },
    ignored: "meta",
  },
  {
    name: "own message into a room",
    body: familyA({ FromUserName: { string: ROBOT }, ToUserName: { string: ROOM }, Content: { string: "all:\nbye" } }),
    want: { ...IN_ROOM, sender: ROBOT, self: true, text: "all:\nbye" },
    ignored: "self",
  },
  {
    name: "own message into a room, where nobody said who the owner is",
    body: `{"FromUserName":{"string":"${ROBOT}"},"ToUserName":{"string":"${ROOM}"},"MsgType":1,"Content":{"string":"bye"},"NewMsgId":5203948571029384756}`,
    want: { ...IN_ROOM, sender: ROBOT, self: true, text: "bye" },
    ignored: "self",
  },
  {
    name: "own private message belongs to the peer's conversation",
    body: familyA({ FromUserName: { string: ROBOT }, ToUserName: { string: "wxid_ann" }, Content: { string: "hello" } }),
    want: { ...ANN, sender: ROBOT, self: true },
    ignored: "self",
  },
  {
    name: "a picture is a message without text",
    body: familyA({ MsgType: 3, Content: { string: "<msg><img/></msg>" }, PushContent: "Ann : [图片]" }),
    want: { ...ANN, kind: "image", text: "", nickname: "Ann" },
  },
  {
    name: "a quote says what was written, not what was quoted",
    body: familyA({ MsgType: 49, Content: { string: "<msg><appmsg><title>and &lt;this&gt;?</title><type>57</type><refermsg><type>1</type></refermsg></appmsg></msg>" } }),
    want: { ...ANN, kind: "quote", text: "and <this>?" },
  },
  {
    name: "a recall",
    body: familyA({ MsgType: 10002, Content: { string: '<sysmsg type="revokemsg"></sysmsg>' } }),
    want: { kind: "system" },
    ignored: "meta",
  },
  {
    name: "B, bare, ToWxid, the owner told by the configuration",
    body: `{"MsgId":77,"FromUserName":{"string":"${ROOM}"},"ToWxid":{"string":"${ROBOT}"},"MsgType":1,"Content":{"string":"wxid_ann:\\nhello"},"MsgSource":${JSON.stringify(LISTED)},"NewMsgId":5203948571029384756}`,
    self: ROBOT,
    want: { ...IN_ROOM, mentioned: true, account: ROBOT },
  },
  {
    name: "B, in AddMsgs",
    body: `{"AddMsgs":[{"FromUserName":{"string":"wxid_ann"},"ToUserName":{"string":"${ROBOT}"},"MsgType":1,"Content":{"string":"hello"},"NewMsgId":5203948571029384756}]}`,
    want: ANN,
  },
  {
    name: "C, snake case",
    body: `{"msg_id":77,"from_user_name":{"str":"${ROOM}"},"to_user_name":{"str":"${ROBOT}"},"msg_type":1,"content":{"str":"wxid_ann:\\nhello"},"push_content":"Ann在群聊中@了你","new_msg_id":5203948571029384756}`,
    want: { ...IN_ROOM, mentioned: true, nickname: "Ann" },
  },
  {
    name: "D, messages in Data, plain strings",
    body: `{"Wxid":"${ROBOT}","Data":{"messages":[{"msgId":77,"newMsgId":5203948571029384756,"msgType":1,"fromUser":"wxid_ann","fromNick":"Ann","toUser":"${ROBOT}","text":"hello"}]}}`,
    want: { ...ANN, nickname: "Ann" },
  },
  {
    name: "E, flat",
    body: `{"appid":"wx_app","wxid":"${ROBOT}","fromUser":"wxid_ann","toUser":"${ROBOT}","newMsgId":5203948571029384756,"msgType":1,"isSelf":false,"content":"hello"}`,
    want: ANN,
  },
  {
    name: "F, halves of 32 bits, the low one signed",
    body: familyA({ MsgType: { low: 1 }, Content: { string: "hello" }, NewMsgId: { high: 1211604087, low: -1296234700 } }),
    want: { ...ANN, id: ((1211604087n << 32n) + (2n ** 32n - 1296234700n)).toString() },
  },
  {
    name: "an id that is a string already",
    body: familyA({ Content: { string: "hello" }, NewMsgId: "9007199254740993" }),
    want: { ...ANN, id: "9007199254740993" },
  },
  {
    name: "MsgId where NewMsgId is 0",
    body: familyA({ Content: { string: "hello" }, NewMsgId: 0 }),
    want: { ...ANN, id: "77" },
  },
  {
    name: "OneBot, private, array",
    body: '{"time":1788000000,"self_id":28,"post_type":"message","message_type":"private","message_id":12,"user_id":16,"message":[{"type":"text","data":{"text":"hello"}}],"sender":{"user_id":16,"nickname":"Ann"}}',
    want: { ...ANN, id: "12", conversation: "private:16", sender: "16", nickname: "Ann", account: "28" },
  },
  {
    name: "OneBot, private, with the receiver as its target",
    body: '{"self_id":28,"post_type":"message","message_type":"private","message_id":12,"user_id":16,"target_id":28,"message":"hello"}',
    want: { ...ANN, id: "12", conversation: "private:16", sender: "16", account: "28" },
  },
  {
    name: "OneBot, private, sent by the account itself",
    body: '{"self_id":28,"post_type":"message_sent","message_type":"private","message_id":12,"user_id":28,"target_id":16,"message":"hello"}',
    want: { conversation: "private:16", self: true },
    ignored: "self",
  },
  {
    name: "OneBot, a mention of nobody, a segment that every object has",
    body: '{"post_type":"message","message_type":"group","message_id":12,"group_id":81,"user_id":16,"message":[{"type":"at","data":{}},{"type":"constructor","data":{"url":"https://pics.example/"}},{"type":"text","data":{"text":"hello"}}]}',
    want: { ...IN_ROOM, id: "12", conversation: "group:81", sender: "16", mentioned: false, media: [] },
  },
  {
    name: "OneBot, group, array, mention and picture",
    body: '{"self_id":28,"post_type":"message","message_type":"group","message_id":12,"group_id":81,"user_id":16,"message":[{"type":"reply","data":{"id":"3"}},{"type":"at","data":{"qq":"28"}},{"type":"text","data":{"text":" hello"}},{"type":"image","data":{"file":"a.jpg","url":"https://pics.example/a?b=1&c=2"}}],"sender":{"nickname":"Ann","card":"Annie"}}',
    want: { ...IN_ROOM, id: "12", conversation: "group:81", sender: "16", nickname: "Annie", mentioned: true, media: [{ type: "image", url: "https://pics.example/a?b=1&c=2" }] },
  },
  {
    name: "OneBot, group, CQ codes",
    body: '{"self_id":28,"post_type":"message","message_type":"group","message_id":12,"group_id":81,"user_id":16,"message":"[CQ:at,qq=all] &#91;news&#93; a &amp;amp; b[CQ:at,qq=5][CQ:image,file=x,url=https://pics.example/a?b=1&amp;c=2&#44;3]"}',
    want: { ...IN_ROOM, id: "12", conversation: "group:81", sender: "16", mentioned: true, text: "@all [news] a &amp; b@5", media: [{ type: "image", url: "https://pics.example/a?b=1&c=2,3" }] },
  },
  {
    name: "OneBot, sent by the account itself",
    body: '{"self_id":28,"post_type":"message_sent","message_type":"group","message_id":12,"group_id":81,"user_id":28,"message":[{"type":"text","data":{"text":"hello"}}]}',
    want: { self: true },
    ignored: "self",
  },
  {
    name: "generic, flat",
    body: '{"messageId":5203948571029384756,"from":"wxid_ann","to":"wxid_robot","text":"hello"}',
    want: ANN,
  },
  {
    name: "generic, a group named by to",
    body: '{"id":"m1","sender":{"id":"u1","name":"Ann"},"to":"room-1","group":true,"mentioned":true,"text":"hello"}',
    want: { ...IN_ROOM, id: "m1", conversation: "room-1", sender: "u1", nickname: "Ann", mentioned: true },
  },
  {
    name: "generic, a conversation of its own",
    body: '{"msg_id":"m1","conversation_id":"c1","sender_id":"u1","content":"hello","chat_type":"group","media":[{"type":"image","url":"https://pics.example/a.png"}]}',
    want: { ...IN_ROOM, id: "m1", conversation: "c1", sender: "u1", media: [{ type: "image", url: "https://pics.example/a.png" }] },
  },
  {
    name: "generic, a URL in a wrapper",
    body: '{"id":"m1","from":"u1","text":"hello","media":[{"type":"image","url":{"string":"https://pics.example/a.png"}}]}',
    want: { media: [{ type: "image", url: "https://pics.example/a.png" }] },
  },
];

for (const { name, body, self, want, ignored = "" } of rows) {
  test(name, () => {
    const messages = readMessages(body, self);
    assert.equal(messages.length, 1);
    const got = Object.fromEntries(Object.keys(want).map((key) => [key, messages[0][key]]));
    assert.deepEqual(got, want);
    assert.equal(ignoredFor(messages[0]), ignored);
  });
}

test("probes, notices and meta events hold no message", () => {
  const bodies = [
    '{"testMsg":"回调地址链接成功！","token":"t"}',
    `{"TypeName":"Offline","Appid":"wx_app","Wxid":"${ROBOT}"}`,
    `{"TypeName":"ModContacts","Wxid":"${ROBOT}","Data":{"UserName":{"string":"${ROOM}"},"NickName":{"string":"x"}}}`,
    '{"self_id":28,"post_type":"notice","notice_type":"group_recall","group_id":81,"user_id":16,"message_id":12}',
    '{"self_id":28,"post_type":"meta_event","meta_event_type":"heartbeat"}',
    '{"AddMsgs":[]}', `{"Wxid":"${ROBOT}","Data":{"messages":[]}}`,
  ];
  for (const body of bodies) assert.deepEqual(readMessages(body), [], body);
});

test("what nobody can read is not taken for nothing", () => {
  const bodies = [
    "{}", "[]", "null", "7", '"text"', '{"text":"from nobody"}', '{"chat":"c1","text":"from nobody"}',
    '{"messages":[{"id":"1","from":"a","text":"hi"}]}',
    '{"update_id":1,"message":{"message_id":5,"from":{"id":9},"chat":{"id":9,"type":"private"},"text":"hello"}}',
    `{"TypeName":"AddMsg","Wxid":"${ROBOT}","Data":{"Content":{"string":"from nobody"},"MsgType":1}}`,
    familyA({ FromUserName: { string: ROOM }, Content: { string: "the list is:\n1. tea" } }),
    familyA({ FromUserName: ROOM, text: "wxid_owner:\nhello" }),
    '{"self_id":28,"post_type":"message","message_type":"group","message_id":12,"user_id":16,"message":"hello"}',
    '{"self_id":28,"post_type":"message","message_type":"private","message_id":12,"message":"hello"}',
  ];
  for (const body of bodies) assert.throws(() => readMessages(body), Unreadable, body);
});

const MIB = 1024 * 1024;
const long = [
  { name: "quotes that do not end", body: (fill) => familyA({ MsgType: 49, Content: { string: fill("<refermsg>") } }) },
  { name: "labels that do not end", body: (fill) => familyA({ MsgType: 3, PushContent: fill(" : [") }) },
  { name: "codes that do not end", body: (fill) => onebot(fill("[CQ:a,")) },
  { name: "codes without anything", body: (fill) => onebot(fill("[CQ:")) },
  { name: "a code with a long name", body: (fill) => onebot(`[CQ:${fill("a")}`) },
  { name: "text in pieces", body: (fill) => familyA({ MsgType: 49, Content: { string: `<title>${fill("<![CDATA[")}</title><type>57</type>` } }) },
];
for (const { name, body } of long) {
  test(`${name}: 4 MiB are read in no time`, () => {
    const pushed = body((piece) => piece.repeat((4 * MIB) / piece.length));
    readMessages(body(() => ""));
    const started = performance.now();
    assert.equal(readMessages(pushed).length, 1);
    const took = performance.now() - started;
    assert.ok(took < 250, `took ${took} ms`);
  });
}

/** A private OneBot event with CQ codes. */
function onebot(message) {
  return JSON.stringify({ post_type: "message", message_type: "private", self_id: 28, user_id: 16, message_id: 3, message });
}

test("a list keeps its order", () => {
  const one = (n) => ({ FromUserName: { string: "wxid_ann" }, ToUserName: { string: ROBOT }, MsgType: 1, Content: { string: `t${n}` }, NewMsgId: n });
  const body = JSON.stringify({ Wxid: ROBOT, Data: { AddMsgs: [one(1), one(2), one(3)] } });
  assert.deepEqual(readMessages(body).map((m) => m.text), ["t1", "t2", "t3"]);
});

test("hostile shapes break nothing", () => {
  const bodies = [
    '{"__proto__":{"FromUserName":"x"},"post_type":{}}',
    '{"post_type":"message","user_id":16,"message":[null,7,{"type":"at"},{"type":"image","data":{"url":{}}}]}',
    '{"FromUserName":{"string":["a"]},"MsgType":{"low":"x"},"Content":null}',
    '{"FromUserName":"a","MsgType":{"low":99999999999},"Content":{"string":{"string":"deep"}}}',
  ];
  for (const body of [...bodies, `${"[".repeat(5000)}${"]".repeat(5000)}`]) {
    try {
      assert.ok(Array.isArray(readMessages(body)), body.slice(0, 60));
    } catch (error) {
      assert.ok(error instanceof Unreadable, error);
    }
  }
});
