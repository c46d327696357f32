"""What each choice in a launch file means, in one sentence: for editors and the reference."""

STEP_KINDS = {
    "welcome": "The first message that a newcomer sees: motive, offer, and the plan of what comes.",
    "announcement": "One of the numbered series; it sets up the next one.",
    "heads_up": "Says in the day that something comes in the evening.",
    "countdown": "Tells the time left, worked out when it is sent; skipped when its target has passed.",
    "link": "Opens the order page; numbered, and never before the trust gate.",
    "value": "Something of use to members, whether they buy or not; it may keep a promise.",
    "prompt": "Asks members to speak: a roll call, a game, a question.",
    "thanks": "Thanks, and what comes next.",
}
PHASES = {
    "recruit": "引流入群: why join, and why now.",
    "build_up": "造勢: attention and activity.",
    "nurture": "蓄勢: stickiness and trust; its gate is the trust gate.",
    "ignite": "引爆: heads-up in the day, announcement at 23:00, countdown at 10:00, link at 12:00.",
    "aftercare": "閉環服務: deliver, thank, ask whether it helped.",
}
# Model and key → what each of its values means.
CHOICES = {
    "Step.kind": STEP_KINDS,
    "RemedyStep.kind": STEP_KINDS,
    "Step.on_late": {
        "send": "Send it with the words it would have had in time.",
        "rerender": "Send it with words as of now: time left, tonight or tomorrow.",
        "skip": "Leave it out, and record that.",
        "hold": "Ask a person.",
    },
    "Gate.otherwise": {
        "remedy": "Send the `remedy` messages, and read the gate again; once for each time it stands here.",
        "extend": "Wait, and read the gate again, as far as the phase's `slack` goes.",
        "hold": "Ask a person.",
        "abort": "End the launch.",
    },
    "Launch.approval": {
        "required": "A live run needs the approved hash of its plan.",
        "none": "Whoever can run it may.",
    },
    "Persona.leads": {
        "outer": "The outer pull: what the product does (`product.promise`).",
        "inner": "The inner pull: what becomes of the member (`product.result`).",
    },
    "Staff.role": {
        "host": "Speaks for the launch 主理人.",
        "operator": "Runs it, and posts what is posted by hand 運營.",
        "support": "Answers members 客服.",
        "engineer": "Looks after channels and sources 工程師.",
        "bot": "A program that writes in the group 機器人.",
    },
    "Group.kind": {
        "conversion": "Before payment; its members count for the fit check.",
        "value": "After payment: for those who have bought.",
    },
}
