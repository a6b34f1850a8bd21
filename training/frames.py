"""How a question is put: the frames of asking, each with a place for every part of what is asked.

A kind of question has several frames that ask the same, and kinds differ in what they ask. Places:
{v} an act, {ving} the act as a noun, {o} its object, {x} what is said in addition (with a space before it,
or nothing), {s} who acts, {t} a thing, {u} another, {a} an attribute, {e} what happens, {b} the same after
"does", {y} a state. {T} and {O} are {t} and {o} as the beginning of a sentence.
"""

from __future__ import annotations

ACTS = {
    "how": (
        "How do {s} {v} {o}{x}?|How can {s} {v} {o}{x}?|How to {v} {o}{x}?|What is the best way to {v} {o}{x}?"
        "|What do {s} have to do to {v} {o}{x}?|What are the steps to {v} {o}{x}?|What is the procedure"
        " for {ving} {o}{x}?|How does one {v} {o}{x}?|Can you tell me how to {v} {o}{x}?|Please explain"
        " how to {v} {o}{x}.|I want to {v} {o}{x}.|I would like to {v} {o}{x}.|I need to {v} {o}{x}.|I'm"
        " trying to {v} {o}{x}. How does that work?|How would {s} go about {ving} {o}{x}?|Could you walk"
        " me through {ving} {o}{x}?|Is there a way to {v} {o}{x}?|I need help with {ving} {o}{x}.|Show me"
        " how to {v} {o}{x}.|What should I do if I want to {v} {o}{x}?|Any idea how to {v} {o}{x}?|I do not"
        " know how to {v} {o}{x}.|{ving} {o}{x}: how does it work?|I was wondering how {s} could {v} {o}{x}."
        "|Guide to {ving} {o}{x}|What steps do {s} need to take in order to {v} {o}{x}?"
    ),
    "may": (
        "May {s} {v} {o}{x}?|Are {s} allowed to {v} {o}{x}?|Is it permitted to {v} {o}{x}?|Is {ving} {o}{x}"
        " allowed?|Do {s} have permission to {v} {o}{x}?|Is it okay to {v} {o}{x}?|Do the rules allow {ving}"
        " {o}{x}?|Am I permitted to {v} {o}{x}?|Is it all right if {s} {v} {o}{x}?"
    ),
    "must": (
        "Must {s} {v} {o}{x}?|Do {s} have to {v} {o}{x}?|Are {s} required to {v} {o}{x}?|Is it mandatory to"
        " {v} {o}{x}?|Do {s} need to {v} {o}{x}?|Is it necessary to {v} {o}{x}?|Is {ving} {o}{x} required?"
        "|Is {ving} {o}{x} compulsory?|Are {s} obliged to {v} {o}{x}?"
    ),
    "should": (
        "Should {s} {v} {o}{x}?|Is it a good idea to {v} {o}{x}?|Would you recommend {ving} {o}{x}?|Is it"
        " advisable to {v} {o}{x}?|Ought {s} to {v} {o}{x}?|Do you advise {ving} {o}{x}?|Does it make sense"
        " to {v} {o}{x}?"
    ),
    "should not": (
        "Should {s} not {v} {o}{x}?|Is it a bad idea to {v} {o}{x}?|Would you advise against {ving} {o}{x}?"
    ),
    "why must": (
        "Why must {s} {v} {o}{x}?|Why do {s} have to {v} {o}{x}?|For what reason do {s} have to {v} {o}{x}?"
        "|What is the reason that {s} must {v} {o}{x}?|Why is it necessary to {v} {o}{x}?"
    ),
    "why not": (
        "Why can {s} not {v} {o}{x}?|Why can't {s} {v} {o}{x}?|Why are {s} unable to {v} {o}{x}?|Why is it"
        " not possible to {v} {o}{x}?|For what reason can {s} not {v} {o}{x}?"
    ),
    "why": (
        "Why would {s} {v} {o}{x}?|What is the point of {ving} {o}{x}?|What are the benefits of {ving} {o}{x}?"
        "|Why do people {v} {o}{x}?"
    ),
    "when": (
        "When can {s} {v} {o}{x}?|From when on can {s} {v} {o}{x}?|What is the earliest time to {v} {o}{x}?"
        "|At what time can {s} {v} {o}{x}?|Tell me when {s} can {v} {o}{x}."
    ),
    "when must": (
        "When must {s} {v} {o}{x}?|By when do {s} have to {v} {o}{x}?|What is the deadline for {ving} {o}{x}?"
        "|Until when can {s} {v} {o}{x}?"
    ),
    "where": (
        "Where can {s} {v} {o}{x}?|Where do {s} go to {v} {o}{x}?|In which place can {s} {v} {o}{x}?|Tell me"
        " where to {v} {o}{x}.|Where is it possible to {v} {o}{x}?"
    ),
    "who": (
        "Who can {v} {o}{x}?|Who is able to {v} {o}{x}?|Which people can {v} {o}{x}?|Can you tell me who can"
        " {v} {o}{x}?"
    ),
    "who for me": (
        "Who can {v} {o} for me{x}?|Whom do {s} ask to {v} {o}{x}?|Is there someone who can {v} {o} for me{x}?"
    ),
    "cost": (
        "How much does it cost to {v} {o}{x}?|What does it cost to {v} {o}{x}?|What is the price of {ving}"
        " {o}{x}?|How much do you charge for {ving} {o}{x}?|What is the fee for {ving} {o}{x}?|How expensive"
        " is it to {v} {o}{x}?|Cost of {ving} {o}{x}?"
    ),
    "long": (
        "How long does it take to {v} {o}{x}?|How much time does it take to {v} {o}{x}?|What is the time"
        " needed for {ving} {o}{x}?|How long does {ving} {o}{x} take?|How many days does it take to {v} {o}{x}?"
    ),
    "often": (
        "How often can {s} {v} {o}{x}?|How many times can {s} {v} {o}{x}?|What is the maximum number of times"
        " that {s} can {v} {o}{x}?"
    ),
    "after": (
        "What happens if {s} {v} {o}{x}?|What will happen when {s} {v} {o}{x}?|What are the consequences of"
        " {ving} {o}{x}?|What does {ving} {o}{x} lead to?"
    ),
    "after not": (
        "What happens if {s} do not {v} {o}{x}?|What happens if {s} don't {v} {o}{x}?|What are the"
        " consequences of not {ving} {o}{x}?"
    ),
    "without": (
        "Can it be done without {ving} {o}{x}?|Is there a way around {ving} {o}{x}?|How do {s} avoid {ving}"
        " {o}{x}?|How can I get around {ving} {o}{x}?"
    ),
    "again": (
        "How do {s} {v} {o} again{x}?|How can {s} {v} {o} a second time{x}?|How to {v} {o} once more{x}?"
    ),
    "you": (
        "Can you {v} {o} for me{x}?|Could you {v} {o} for me{x}?|Please {v} {o} for me{x}.|Would you {v} {o}"
        " for me{x}?"
    ),
    "need for": (
        "What do {s} need in order to {v} {o}{x}?|Which documents do {s} need to {v} {o}{x}?|What is required"
        " to {v} {o}{x}?|What are the requirements for {ving} {o}{x}?"
    ),
    "fail": (
        "What do I do when {s} cannot {v} {o}{x}?|I can't {v} {o}{x}, what now?|I am not able to {v} {o}{x}."
        "|I'm unable to {v} {o}{x}.|I tried to {v} {o}{x}, but it did not work.|It does not let me {v} {o}{x}."
    ),
    "safe": ("Is it safe to {v} {o}{x}?|Is {ving} {o}{x} safe?|Can {s} {v} {o} safely{x}?"),
    "worth": (
        "Is it worth it to {v} {o}{x}?|Is {ving} {o}{x} worth it?|Does it pay to {v} {o}{x}?|Is {ving} {o}{x}"
        " worthwhile?"
    ),
}
FACTS = {
    "fact": (
        "What is the {a} of {t}?|What's the {a} of {t}?|Tell me the {a} of {t}.|Do you know the {a} of {t}?"
        "|Give me the {a} of {t}.|I'd like to know the {a} of {t}.|{a} of {t}?|{t}: {a}|What {a} does {t} have?"
        "|Can you tell me the {a} of {t}?|What would be the {a} of {t}?|Which {a} does {t} have?|I am looking"
        " for the {a} of {t}.|Could you look up the {a} of {t}?|As for {t}, what is the {a}?"
    ),
    "was": (
        "What was the {a} of {t} last year?|What was {t}'s {a} last year?|Tell me the {a} of {t} last year."
        "|Last year, what was the {a} of {t}?"
    ),
    "change": (
        "How can the {a} of {t} be changed?|What can be done to change the {a} of {t}?|Is there a way to"
        " change the {a} of {t}?"
    ),
    "compare": (
        "How does the {a} of {t} compare with that of {u}?|Compare the {a} of {t} and {u}.|What is the"
        " difference in {a} between {t} and {u}?|Compare {t} and {u} by their {a}."
    ),
    "more": (
        "Is the {a} of {t} greater than that of {u}?|Does {t} have a higher {a} than {u}?|Is the {a} of {u}"
        " less than that of {t}?|Compared with {u}, does {t} have a greater {a}?"
    ),
    "why": (
        "Why does {t} have this {a}?|What determines the {a} of {t}?|What explains the {a} of {t}?"
    ),
    "who": (
        "Who found out the {a} of {t}?|Who was it that found out the {a} of {t}?|By whom was the {a} of {t}"
        " found out?"
    ),
}
EVENTS = {
    "when": (
        "When does {t} {b}{x}?|What time does {t} {b}{x}?|At what time does {t} {b}{x}?|Do you know when {t}"
        " {e}{x}?|Tell me when {t} {e}{x}.|Can you tell me when {t} {e}{x}?|When exactly does {t} {b}{x}?|I"
        " need to know when {t} {e}{x}.|{t}: when does it {b}{x}?|Please let me know what time {t} {e}{x}."
    ),
    "whether": (
        "Does {t} {b}{x}?|Can you tell me whether {t} {e}{x}?|Do you know if {t} {e}{x}?|I'd like to know if"
        " {t} {e}{x}.|Is it true that {t} {e}{x}?|Is it the case that {t} {e}{x}?"
    ),
    "why": (
        "Why does {t} {b}{x}?|What is the reason that {t} {e}{x}?|How come {t} {e}{x}?|For what reason does"
        " {t} {b}{x}?"
    ),
    "why not": ("Why does {t} not {b}{x}?|Why doesn't {t} {b}{x}?|How come {t} does not {b}{x}?"),
    "where": (
        "Where does {t} {b}{x}?|In which place does {t} {b}{x}?|Can you tell me where {t} {e}{x}?|Do you know"
        " where {t} {e}{x}?"
    ),
    "did": ("Did {t} {b}{x}?|Do you know if {t} did {b}{x}?|Is it true that {t} did {b}{x}?"),
    "when did": ("When did {t} {b}{x}?|What time did {t} {b}{x}?|Do you know when {t} did {b}{x}?"),
    "will": ("Will {t} {b}{x}?|Is {t} going to {b}{x}?|Do you know if {t} will {b}{x}?"),
    "how": ("How does {t} {b}{x}?|In what way does {t} {b}{x}?|Can you explain how {t} {e}{x}?"),
    "how often": (
        "How often does {t} {b}{x}?|How many times does {t} {b}{x}?|How frequently does {t} {b}{x}?"
    ),
}
PAST = {
    "when": (
        "When did {t} {b}?|What year did {t} {b}?|In which year did {t} {b}?|Do you know when {t} {e}?|Tell me"
        " when {t} {e}.|Can you tell me when {t} {e}?|When was it that {t} {e}?"
    ),
    "why": (
        "Why did {t} {b}?|What was the reason that {t} {e}?|How come {t} {e}?|For what reason did {t} {b}?"
        "|Explain why {t} {e}."
    ),
    "where": "Where did {t} {b}?|In which place did {t} {b}?|Do you know where {t} {e}?",
    "how": "How did {t} {b}?|In what way did {t} {b}?|Can you explain how {t} {e}?",
    "who": "Who was involved when {t} {e}?|Which people took part when {t} {e}?",
    "whether": "Did {t} {b}?|Do you know if {t} {e}?|Is it true that {t} {e}?|Can you tell me whether {t} {e}?",
}
STATES = {
    "whether": (
        "{is} {t} {y}{x}?|Do you know whether {t} {is_} {y}{x}?|I'd like to know if {t} {is_} {y}{x}.|Can you"
        " tell me if {t} {is_} {y}{x}?|Would you say that {t} {is_} {y}{x}?|{t}: {y} or not{x}?|Is it true"
        " that {t} {is_} {y}{x}?|I wonder whether {t} {is_} {y}{x}.|Please tell me whether {t} {is_} {y}{x}."
        "|Could you check if {t} {is_} {y}{x}?"
    ),
    "why": (
        "Why {is_} {t} {y}{x}?|For what reason {is_} {t} {y}{x}?|How come {t} {is_} {y}{x}?|What is the reason"
        " that {t} {is_} {y}{x}?|Explain why {t} {is_} {y}{x}."
    ),
    "why not": (
        "Why {is_} {t} not {y}{x}?|How come {t} {is_} not {y}{x}?|For what reason {is_} {t} not {y}{x}?"
    ),
    "since": "Since when {is_} {t} {y}{x}?|How long {has} {t} been {y}{x}?",
    "when": "When {is_} {t} {y}{x}?|In which cases {is_} {t} {y}{x}?|Under what conditions {is_} {t} {y}{x}?",
    "all": "Are all of {t} {y}{x}?|Is it true that all of {t} are {y}{x}?|Without exception, are all of {t} {y}{x}?",
    "some": "Are some of {t} {y}{x}?|Is it true that some of {t} are {y}{x}?|Is a part of {t} {y}{x}?",
    "only": "Is only {t} {y}{x}?|Is it true that only {t} {is_} {y}{x}?|Is nothing but {t} {y}{x}?",
    "was": "{was} {t} {y} in the past{x}?|Is it true that {t} {was_} {y} in the past{x}?",
    "will": "Will {t} be {y}{x}?|{is} {t} going to be {y}{x}?|Do you think {t} will be {y}{x}?",
    "says": "{T} {is_} {y}{x}.|It is a fact that {t} {is_} {y}{x}.|As far as I know, {t} {is_} {y}{x}.",
    "says not": "{T} {is_} not {y}{x}.|It is not the case that {t} {is_} {y}{x}.|As far as I know, {t} {is_} not {y}{x}.",
}
THINGS = {
    "have": (
        "Do you have {at}?|Is there {at}?|Do you offer {at}?|Is {at} available?|I am looking for {at}.|Can you"
        " tell me if there is {at}?|Do you provide {at}?|Do you have any {ts}?|Are there any {ts}?|Do you offer any"
        " {ts}?"
    ),
    "what": (
        "What is {at}?|What does {t} mean?|Explain what {at} is.|Can you explain {t}?|What do you mean by {t}?"
        "|Please define {t}.|What exactly is {at}?|Tell me what {at} is.|Definition of {t}?|What is meant by"
        " {t}?|I do not know what {at} is."
    ),
    "price": (
        "How much is {at}?|What does {at} cost?|How much does {at} cost?|What is the price of {at}?|Price of"
        " {at}?|How much do I pay for {at}?|What do you charge for {at}?"
    ),
    "where": "Where can I find {at}?|Where do I find {at}?|Where is {at} to be found?|Where is there {at}?",
    "need": "Do I need {at}?|Is {at} necessary?|Is {at} required?|Must I have {at}?",
    "why": "Why do I need {at}?|What do I need {at} for?|What is {at} good for?|What is the purpose of {at}?",
    "how": "How does {at} work?|How is {at} supposed to work?|Can you explain how {at} works?",
    "use": "How do I use {at}?|How can I use {at}?|What is the right way to use {at}?",
    "get": "How do I get {at}?|How can I get {at}?|What do I have to do to get {at}?|I want {at}.",
    "lose": "How do I get rid of {at}?|How can I get rid of {at}?|I no longer want {at}.",
    "who": "Who gets {at}?|Who is entitled to {at}?|Which people get {at}?",
    "who pays": "Who pays for {at}?|By whom is {at} paid for?|Who bears the cost of {at}?",
    "included": "Is {at} included in the price?|Does the price include {at}?|Is {at} part of the price?",
    "example": "Give me an example of {at}.|What is an example of {at}?|Can you give an example of {at}?",
    "kinds": "What kinds of {t} are there?|Which types of {t} exist?|How many kinds of {t} are there?",
    "good": "What are the advantages of {at}?|What are the benefits of {at}?|What speaks for {at}?",
    "bad": "What are the disadvantages of {at}?|What are the drawbacks of {at}?|What speaks against {at}?",
    "difference": (
        "What is the difference between {at} and {au}?|How does {at} differ from {au}?|How does {au} differ"
        " from {at}?|What is the difference between {au} and {at}?|{t} vs {u}: what is the difference?"
    ),
    "better": "Is {at} better than {au}?|Do you think {at} is better than {au}?|Is {au} worse than {at}?",
    "over": "Why choose {at} over {au}?|What are the advantages of {at} over {au}?|Why is {at} better than {au}?",
    "both": "Can I have {at} and {au}?|Can I get both {at} and {au}?|Can I have {au} and {at}?",
    "either": "Should I take {at} or {au}?|Which is better for me, {at} or {au}?|Should I take {au} or {at}?",
    "into": "How do I turn {at} into {au}?|How can I turn {at} into {au}?|Can you turn {at} into {au}?",
}
TROUBLES = {
    "fix": (
        "{T} {e}.|{T} {e}. What can I do?|{T} {e}, what should I do?|What can I do if {t} {e}?|What should I do"
        " when {t} {e}?|Help, {t} {e}!|The problem is that {t} {e}.|I have a problem: {t} {e}.|How do I fix it"
        " when {t} {e}?|It seems that {t} {e}, please help.|There is an issue: {t} {e}.|Can you help me? {T} {e}."
    ),
    "why": (
        "Why is it that {t} {e}?|What is the reason that {t} {e}?|How come {t} {e}?|What does it mean when {t}"
        " {e}?|What could be the cause when {t} {e}?"
    ),
    "avoid": "How do I make sure that it never happens again that {t} {e}?|How can I prevent that {t} {e}?",
    "who pays": "Who pays for the repair when {t} {e}?|Who covers the cost if {t} {e}?",
    "still": "Is it normal that {t} {e}?|Should I worry that {t} {e}?|Is it a bad sign when {t} {e}?",
}
RELATIONS = {
    "whether": "Did {t} {v} {u}?|Was {u} {pp} by {t}?|Is it true that {t} {past} {u}?|Do you know if {t} {past} {u}?",
    "when": "When did {t} {v} {u}?|When was {u} {pp} by {t}?|In which year did {t} {v} {u}?|Tell me when {t} {past} {u}.",
    "why": "Why did {t} {v} {u}?|Why was {u} {pp} by {t}?|What is the reason that {t} {past} {u}?|How come {t} {past} {u}?",
    "how": "How did {t} {v} {u}?|How was {u} {pp} by {t}?|In what way did {t} {v} {u}?",
    "who": "Who {past} {t}?|By whom was {t} {pp}?|Who was it that {past} {t}?|Do you know who {past} {t}?|Who was the {noun} of {t}?",
    "whom": "Who did {t} {v}?|Whom did {t} {v}?|Who was {pp} by {t}?|{T} was the {noun} of whom?",
    "says": "{T} {past} {u}.|{U} was {pp} by {t}.|It was {t} that {past} {u}.",
    "says not": "{T} did not {v} {u}.|{U} was not {pp} by {t}.|{T} didn't {v} {u}.",
    "never": "Did {t} never {v} {u}?|Is it true that {t} never {past} {u}?|Was {u} never {pp} by {t}?",
    "will": "Will {t} {v} {u}?|Is {t} going to {v} {u}?|Will {u} be {pp} by {t}?",
    "often": "How often did {t} {v} {u}?|How many times did {t} {v} {u}?|How many times was {u} {pp} by {t}?",
}
TASKS = {
    "do": '{v}: {o}|Please {lv}: {o}|Could you {lv}: {o}|{v}: "{o}"|Can you {lv}: {o}|{o} - {lv}|I want you to {lv}: {o}',
}
CLAUSES = {
    "do": "{v} {o}.|Please {lv} {o}.|Could you {lv} {o}?|I need you to {lv} {o}.|Can you {lv} {o}, please?|Would you {lv} {o}?",
}
SUMS = {
    "percent": "What is {n}% of {m}?|Calculate {n}% of {m}.|{n} percent of {m}?|How much is {n} percent of {m}?|What's {n} % of {m}?",
    "off": "What is {m} minus {n} percent?|How much is {m} after {n}% off?|{m} with a discount of {n}%?",
    "plus": "What is {n} + {m}?|What is {n} plus {m}?|{n} + {m} = ?|Add {n} and {m}.|Calculate {n} + {m}.|What is the sum of {n} and {m}?",
    "minus": "What is {n} - {m}?|What is {n} minus {m}?|{n} - {m} = ?|Subtract {m} from {n}.|Calculate {n} - {m}.",
    "times": "What is {n} * {m}?|What is {n} times {m}?|{n} x {m} = ?|Multiply {n} by {m}.|What is the product of {n} and {m}?",
    "over": "What is {n} / {m}?|What is {n} divided by {m}?|{n} ÷ {m} = ?|Divide {n} by {m}.",
    "convert": "How many {u} are {n} {t}?|Convert {n} {t} to {u}.|{n} {t} in {u}?|What is {n} {t} in {u}?|What are {n} {t} expressed in {u}?",
    "weekday": "What day of the week is {t} {n}?|Which weekday does {t} {n} fall on?|On which day of the week is {t} {n}?",
    "until": "How many days are left until {t} {n}?|How many days is it until {t} {n}?|Days until {t} {n}?",
    "greater": "Is {n} greater than {m}?|Is {n} more than {m}?|Is {m} less than {n}?|{n} > {m}?",
    "route": "How do I get from {t} to {u}?|What is the best way from {t} to {u}?|Directions from {t} to {u}|How to get to {u} from {t}?|I want to go from {t} to {u}.",
    "fares": "Flights from {t} to {u} for {n} people?|Find flights from {t} to {u} for {n} people.|Are there flights for {n} people from {t} to {u}?|I need flights to {u} from {t} for {n} people.",
    "translate": 'Translate "{o}" from {t} to {u}.|How do you say "{o}" in {u}?|What is "{o}" in {u}?|Please translate "{o}" into {u}.',
}
UNITS = (
    "kilometres miles metres feet inches centimetres yards|kilograms pounds ounces grams stone"
    "|litres gallons pints cups millilitres|euros dollars pounds yen francs|degrees Celsius,degrees Fahrenheit,kelvin"
    "|minutes hours days weeks seconds|megabytes gigabytes bytes bits kilobytes"
)
PLACES = (
    "Lisbon Madrid Oslo Geneva Naples Vienna Porto Dublin Leeds York Hamburg Munich Paris Lyon Boston Denver Austin"
    " Seattle Toronto Montreal Tokyo Osaka Kyoto Delhi Mumbai Nairobi Cairo Tunis Lagos Lima Quito Bogota Santiago"
    " Sydney Perth Auckland Prague Warsaw Athens Istanbul Seoul Busan Bangkok Hanoi"
).split()
LANGUAGES = "French Spanish German Italian Portuguese Dutch Polish Turkish Japanese Korean Arabic Hindi English Greek".split()
MONTHS = (
    "January February March April May June July August September October November December".split()
)
TIMES = (
    "on Monday|on Tuesday|on Wednesday|on Thursday|on Friday|on Saturday|on Sunday|on weekdays|at the weekend|on public"
    " holidays|on Christmas Eve|on New Year's Day|in the morning|in the afternoon|in the evening|at night|today|tomorrow"
    "|next week|next month|in summer|in winter|in August|in December|this year|during the holidays|on the first of the month"
).split("|")
ACTORS = (
    (
        "I we you they my wife|my husband|my son|my daughter|my boss|my neighbour|my parents|a minor|a student|a tourist|a foreigner"
        "|a guest|a tenant|a patient|an employee|an employer|a customer|children|adults|visitors|students|tenants|women|men|members"
    )
    .replace(" ", "|", 4)
    .split("|")
)
CHATTER = {
    "before": (
        "Hi, |Hello, |Hey, |Hi there, |Good morning, |Good evening, |Hello! |Hey there! |Quick question: |Question: "
        "|Sorry to bother you, |Excuse me, |I have a question: |I have a quick question. |One more thing: |Just"
        " wondering, |Hope you are well. |Dear team, |Hi team, |Help please: |Sorry if this was asked before, |So, |Well,"
        " |OK, |Thanks for your help so far. |I am new here. |Good day. |Hello everyone, |Hiya, |Please: |Hi again, |Um,"
        " |Can I ask you something? |Hello bot, |I hope you can help me. |Please help me out. |Maybe a silly question, but "
    ).split("|"),
    "after": (
        " Thanks!| Thank you.| Thanks in advance.| Thanks a lot.| Please help.| Cheers.| Any help is appreciated.| Thank you"
        " very much!| Please let me know.| Much appreciated.| I would be grateful for an answer.| Kind regards| Many thanks,"
        " Tom| Have a nice day!| Looking forward to your reply.| It's urgent.| No rush.| :)| Thx| Best wishes, Mia| That"
        " would help me a lot.| Please answer briefly.| Thank you for your time.| Ta!"
    ).split("|"),
}
CONTRACTIONS = (
    "what is=what's|where is=where's|who is=who's|how is=how's|that is=that's|it is=it's|I am=I'm|I have=I've|I would=I'd"
    "|I will=I'll|we are=we're|they are=they're|you are=you're|do not=don't|does not=doesn't|did not=didn't|can not=can't"
    "|cannot=can't|will not=won't|is not=isn't|are not=aren't|was not=wasn't|has not=hasn't|have not=haven't|should not="
    "shouldn't|would not=wouldn't|could not=couldn't|must not=mustn't|let us=let's|there is=there's|want to=wanna|please=pls"
    "|you=u|are=r|because=cuz|tomorrow=tmrw|thanks=thx|information=info|application=app|number=no.|versus=vs|account=acct"
    "|message=msg|and=&|without=w/o|with=w/|before=b4|for=4|appointment=appt|minutes=min|kilometres=km|temperature=temp"
)
SPELLINGS = (
    "colour=color|favourite=favorite|centre=center|metre=meter|metres=meters|litre=liter|litres=liters|organise=organize"
    "|recognise=recognize|realise=realize|cancelled=canceled|travelling=traveling|licence=license|cheque=check|grey=gray"
    "|programme=program|analyse=analyze|defence=defense|tyre=tire|tyres=tires|neighbour=neighbor|behaviour=behavior"
    "|honour=honor|theatre=theater|jewellery=jewelry|summarise=summarize|fertilise=fertilize|kilometres=kilometers"
    "|e-mail=email|wifi=wi-fi|modelling=modeling|catalogue=catalog|dialogue=dialog|enrol=enroll|mould=mold|plough=plow"
    "|apologise=apologize|okay=ok|authorise=authorize|customise=customize|minimise=minimize|labour=labor|colours=colors"
)
NUMBERS = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
    " nineteen twenty"
).split()
ADJECTIVES = (
    "old second first broken electric business joint temporary foreign used digital printed blue red large small empty"
    " shared private public international domestic free paid annual monthly weekly former current next previous main"
    " secondary frozen fresh plastic wooden heavy light double single emergency student senior junior premium basic"
    " corporate personal external internal backup wireless portable organic military medical legal final draft third"
    " hidden expired unpaid overdue partial full half external damaged lost stolen virtual physical manual automatic"
).split()
FURTHER = (
    "for children|for beginners|for adults|for seniors|for students|in the US|in Canada|in Germany|in the UK|in 2019|in 2024"
    "|in English|in Spanish|last year|next year|without a contract|with a contract|on a budget|at home|at work|abroad|online"
    "|offline|by hand|by email|by post|in cash|with a card|twice|for two people|after work|during lunch|on the phone|under 18"
    "|over 65|while driving|in bulk|for a company|as a gift|step by step in SQL|on Linux|before 2010|after 2020|at high"
    " altitude|during a storm|if it rains|if I am ill|if it is closed|unless it is free|except on Sundays|only once|more than"
    " once|every day|without permission|without an account|with an old account|for someone else|for my mother"
).split("|")
REWORDED = "from now on|as soon as possible|if possible|in general|by any chance|these days|exactly|actually|please|kindly|at all"
