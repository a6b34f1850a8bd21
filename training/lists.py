"""What the made questions are filled with, and the frames that they are put in: our own text."""

from __future__ import annotations

from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@cache
def families() -> dict[str, dict[str, list[str]]]:
    """Read `frames.txt`: the frames of each kind, by family."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in (HERE / "frames.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            family, kind = line.strip("[]").split(": ")
            current = found.setdefault(family, {}).setdefault(kind, [])
        elif line and not line.startswith("#"):
            current.append(line)
    return found


UNITS = (
    "kilometres miles metres feet inches centimetres yards|kilograms pounds ounces grams stone"
    "|litres gallons pints cups millilitres|euros dollars pounds yen francs"
    "|degrees Celsius,degrees Fahrenheit,kelvin|minutes hours days weeks seconds"
    "|megabytes gigabytes bytes bits kilobytes"
).split("|")
"""Units that measure the same, a kind each; by comma where one has two words."""
PLACES = (
    "Lisbon Madrid Oslo Geneva Naples Vienna Porto Dublin Leeds York Hamburg Munich Paris Lyon Boston "
    "Denver Austin Seattle Toronto Montreal Tokyo Osaka Kyoto Delhi Mumbai Nairobi Cairo Tunis Lagos "
    "Lima Quito Bogota Santiago Sydney Perth Auckland Prague Warsaw Athens Istanbul Seoul Busan "
    "Bangkok Hanoi"
).split()
LANGUAGES = (
    "French Spanish German Italian Portuguese Dutch Polish Turkish Japanese Korean Arabic Hindi "
    "English Greek"
).split()
MONTHS = (
    "January February March April May June July August September October November December"
).split()
TIMES = (
    "on Monday|on Tuesday|on Wednesday|on Thursday|on Friday|on Saturday|on Sunday|on weekdays"
    "|at the weekend|on public holidays|on Christmas Eve|on New Year's Day|in the morning"
    "|in the afternoon|in the evening|at night|today|tomorrow|next week|next month|in summer"
    "|in winter|in August|in December|this year|during the holidays|on the first of the month"
).split("|")
ACTORS = (
    "I|we|you|they|my wife|my husband|my son|my daughter|my boss|my neighbour|my parents|a minor"
    "|a student|a tourist|a foreigner|a guest|a tenant|a patient|an employee|an employer|a customer"
    "|children|adults|visitors|students|tenants|women|men|members"
).split("|")
BEFORE = (
    "Hi, |Hello, |Hey, |Hi there, |Good morning, |Good evening, |Hello! |Hey there! "
    "|Quick question: |Question: |Sorry to bother you, |Excuse me, |I have a question: "
    "|I have a quick question. |One more thing: |Just wondering, |Hope you are well. |Dear team, "
    "|Hi team, |Help please: |Sorry if this was asked before, |So, |Well, |OK, "
    "|Thanks for your help so far. |I am new here. |Good day. |Hello everyone, |Hiya, |Please: "
    "|Hi again, |Um, |Can I ask you something? |Hello bot, |I hope you can help me. "
    "|Please help me out. |Maybe a silly question, but "
).split("|")
AFTER = (
    " Thanks!| Thank you.| Thanks in advance.| Thanks a lot.| Please help.| Cheers."
    "| Any help is appreciated.| Thank you very much!| Please let me know.| Much appreciated."
    "| I would be grateful for an answer.| Kind regards| Many thanks, Tom| Have a nice day!"
    "| Looking forward to your reply.| It's urgent.| No rush.| :)| Thx| Best wishes, Mia"
    "| That would help me a lot.| Please answer briefly.| Thank you for your time.| Ta!"
).split("|")
CONTRACTIONS = (
    "what is=what's|where is=where's|who is=who's|how is=how's|that is=that's|it is=it's|I am=I'm"
    "|I have=I've|I would=I'd|I will=I'll|we are=we're|they are=they're|you are=you're|do not=don't"
    "|does not=doesn't|did not=didn't|can not=can't|cannot=can't|will not=won't|is not=isn't"
    "|are not=aren't|was not=wasn't|has not=hasn't|have not=haven't|should not=shouldn't"
    "|would not=wouldn't|could not=couldn't|must not=mustn't|let us=let's|there is=there's"
    "|want to=wanna|please=pls|you=u|are=r|because=cuz|tomorrow=tmrw|thanks=thx|information=info"
    "|application=app|number=no.|versus=vs|account=acct|message=msg|and=&|without=w/o|with=w/"
    "|before=b4|for=4|appointment=appt|minutes=min|kilometres=km|temperature=temp"
).split("|")
SPELLINGS = (
    "colour=color|favourite=favorite|centre=center|metre=meter|metres=meters|litre=liter"
    "|litres=liters|organise=organize|recognise=recognize|realise=realize|cancelled=canceled"
    "|travelling=traveling|licence=license|cheque=check|grey=gray|programme=program|analyse=analyze"
    "|defence=defense|tyre=tire|tyres=tires|neighbour=neighbor|behaviour=behavior|honour=honor"
    "|theatre=theater|jewellery=jewelry|summarise=summarize|fertilise=fertilize"
    "|kilometres=kilometers|e-mail=email|wifi=wi-fi|modelling=modeling|catalogue=catalog"
    "|dialogue=dialog|enrol=enroll|mould=mold|plough=plow|apologise=apologize|okay=ok"
    "|authorise=authorize|customise=customize|minimise=minimize|labour=labor|colours=colors"
).split("|")
NUMBERS = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
).split()
ADJECTIVES = (
    "old second first broken electric business joint temporary foreign used digital printed blue red "
    "large small empty shared private public international domestic free paid annual monthly weekly "
    "former current next previous main secondary frozen fresh plastic wooden heavy light double "
    "single emergency student senior junior premium basic corporate personal external internal backup "
    "wireless portable organic military medical legal final draft third hidden expired unpaid overdue "
    "partial full half external damaged lost stolen virtual physical manual automatic"
).split()
FURTHER = (
    "for children|for beginners|for adults|for seniors|for students|in the US|in Canada|in Germany"
    "|in the UK|in 2019|in 2024|in English|in Spanish|last year|next year|without a contract"
    "|with a contract|on a budget|at home|at work|abroad|online|offline|by hand|by email|by post"
    "|in cash|with a card|twice|for two people|after work|during lunch|on the phone|under 18|over 65"
    "|while driving|in bulk|for a company|as a gift|step by step in SQL|on Linux|before 2010"
    "|after 2020|at high altitude|during a storm|if it rains|if I am ill|if it is closed"
    "|unless it is free|except on Sundays|only once|more than once|every day|without permission"
    "|without an account|with an old account|for someone else|for my mother"
).split("|")
FILLERS = (
    "from now on|as soon as possible|if possible|in general|by any chance|these days|exactly"
    "|actually|please|kindly|at all"
).split("|")
