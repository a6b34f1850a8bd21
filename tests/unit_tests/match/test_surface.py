"""What two texts tell by their surface: the four verdicts, on what people report of such caches."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_cachemux.match.surface import compare

REFUSED = {"another", "unsure"}
SERVED = {"same", "reworded"}

LITTLE_WORDS = [
    ("How do I import contacts into the app?", "How do I export contacts from the app?"),
    ("Are there direct flights to Lisbon?", "Are there direct flights from Lisbon?"),
    ("How do I let the cat in?", "How do I let the cat out?"),
    ("Where is the Great Barrier Reef?", "What is the Great Barrier Reef?"),
    ("Must I use a VPN?", "Can I use a VPN?"),
    ("May I wear a mask on the train?", "Must I wear a mask on the train?"),
    ("What do plants need?", "What do plants make?"),
    ("Which countries have the euro?", "Which countries want the euro?"),
    ("Should I take aspirin and ibuprofen?", "Should I take aspirin or ibuprofen?"),
    ("Is it safe to take ibuprofen with alcohol?", "Is it safe to take ibuprofen without alcohol?"),
    ("How do I work for my boss?", "How do I work with my boss?"),
    ("What is his address?", "What is her address?"),
    ("What is my name?", "What is your name?"),
    ("Who am I?", "Who are you?"),
    ("Who can I see on the site?", "Who can see me on the site?"),
    ("When did the shop open?", "When does the shop open?"),
    ("How much does a used car cost?", "How much does a car cost?"),
    ("What is term life insurance?", "What is life insurance?"),
    ("How many calories has whole milk?", "How many calories has milk?"),
    ("What is the mean temperature in Rome?", "What is the temperature in Rome?"),
    ("What is the weather like in Paris in May?", "What is the weather like in Paris?"),
    ("How old is Will Smith?", "How old is Smith?"),
]
ONES = [
    ("What is eighty-one divided by three?", "What is eighty divided by three?"),
    ("What does vitamin B1 do?", "What does vitamin B do?"),
    ("Is the shop open on May 1?", "Is the shop open in May?"),
    ("What is type 1 diabetes?", "What is diabetes?"),
    ("What are the rules of Formula 1?", "What are the rules of the formula?"),
]
TAKEN_FOR_COURTESY = [
    ("Wake me at 7 am", "Wake me at 7"),
    ("Is the shop open at 9am?", "Is the shop open at 9pm?"),
    ("Flights leaving in the morning", "Flights leaving in the evening"),
    ("How do I say hello?", "How do I say hi?"),
    ("How do you spell merci?", "How do you spell gracias?"),
    ("Hi Anna, what do I owe?", "Hi Paul, what do I owe?"),
    ("What is a well?", "What is a way?"),
]
CATEGORIES = [
    ("What is the population of New York state?", "What is the population of New York?"),
    ("What is the population of Mexico City?", "What is the population of Mexico?"),
    ("Can dogs eat cat food?", "Can dogs eat cats?"),
    ("How tall is a banana plant?", "How tall is a banana?"),
    ("What is the density of the planet mercury?", "What is the density of mercury?"),
    ("Who wrote the Dune film?", "Who wrote Dune?"),
]
SIGNS = [
    (r"Explain the regex \d+", r"Explain the regex \D+"),
    ("What does 😂 mean?", "What does 😭 mean?"),
    ("Which country has the flag 🇫🇷?", "Which country has the flag 🇩🇪?"),
    ("Who can donate to O-?", "Who can donate to O+?"),
    ("Is x ≤ 10 a closed interval?", "Is x ≥ 10 a closed interval?"),
    ("How much is 100€ in yen?", "How much is 100$ in yen?"),
    ("How do I read a file in C++?", "How do I read a file in C?"),
    ("Is C# a compiled language?", "Is C++ a compiled language?"),
    ("What does () mean in Python?", "What does [] mean in Python?"),
    ("What does ++i return?", "What does i++ return?"),
    ("What is 5!?", "What is 5?"),
    ("Is a == b true?", "Is a != b true?"),
    ("What does a && b do?", "What does a || b do?"),
    ("What is -5 squared?", "What is 5 squared?"),
    ("Is .5 large?", "Is 5 large?"),
]
LETTERS = [
    ("कल क्या है?", "काल क्या है?"),
    ("คำว่า ข้าว แปลว่าอะไร", "คำว่า ขาว แปลว่าอะไร"),
    ("¿Qué es una papá?", "¿Qué es una papa?"),
    ("ما معنى كَتَبَ؟", "ما معنى كُتِبَ؟"),
    ("Что такое замок?", "Что такое за́мок?"),
    ("東京の人口は？", "京都の人口は？"),
    ("我可以退款吗？", "我可以换货吗？"),
    ("Wie komme ich zum Bahnhof?", "Wie komme ich vom Bahnhof?"),
    ("¿Cuánto cuesta el tren de Sevilla a Cádiz?", "¿Cuánto cuesta el tren de Cádiz a Sevilla?"),
    ("Сколько стоит вход?", "Сколько стоит выход?"),
]
PLACES = [
    ("How far is it from Rome to Milan?", "How far is it from Milan to Rome?"),
    ("How do I convert a string to an int?", "How do I convert an int to a string?"),
    ("Does the cat chase the mouse?", "Does the mouse chase the cat?"),
    ("Is gold heavier than silver?", "Is silver heavier than gold?"),
    ("What foods contain iron?", "What does iron contain?"),
    ("What do cows eat?", "What eats cows?"),
    ("They're safe, aren't they?", "They're not safe, are they?"),
    ("From Canada, which way is Mexico?", "Which way is it to Canada from Mexico?"),
]
EQUAL = [
    ("Wake me at 7 AM", "wake me at 7am"),
    ("How do I reset my password?", "how do i reset my password"),
    ("How do I reset my password?", "“How can I reset my password?”"),
    ("Hiya, how do I reset my password? Thanks in advance!", "How do I reset my password?"),
    ("How do I reset my pasword?", "How do I reset my password?"),
    ("How do I recieve a file?", "How do I receive a file?"),
    ("What's the color of an orange?", "What is the colour of an orange?"),
    ("Where's the office?", "Where is the office?"),
    ("So, um, how do I boil an egg?", "How do I boil an egg?"),
    ("By the way, is parking free?", "Is parking free?"),
    ("Actually, who owns the brand?", "Who owns the brand?"),
    ("I need to know whether eggs can be frozen", "Can eggs be frozen?"),
    ("Do you have any idea how to remove rust?", "How do I remove rust?"),
    ("How do I analyse survey data?", "How do I analyze survey data?"),
    ("Where do I sell old text books?", "Where do I sell old textbooks?"),
    ("What time does the shop open?", "When does the shop open?"),
    ("Could you please tell me how plants grow?", "Tell me how plants grow"),
    ("Do I have to pay?", "Must I pay?"),
    ("In Python, how do I sort a list?", "How do I sort a list in Python?"),
    ("How much is 96 dollars in euros?", "How much is $96 in €?"),
    ("When did World War II end?", "In what year did world war 2 end?"),
    ("Is tea or coffee stronger?", "Is coffee or tea stronger?"),
    ("How long is 1,000 metres?", "How long is one thousand meters?"),
    ("Who was the 2nd king?", "Who was the second king?"),
    ("Can I bring my dog & my cat?", "Can I bring my dog and my cat?"),
    ("Is e-mail safe?", "Is email safe?"),
    ("Can every guest swim?", "Can all guest swim?"),
    ("Where can I sleep for less than $90?", "Where can I sleep for under 90 dollars?"),
    ("Why isn't my kettle boiling?", "Why is my kettle not boiling?"),
    ("What do === and !== mean in Java?", "In Java, what do === and !== mean?"),
    ("¿Qué es un café?", "¿Qué es un cafe\u0301?"),
    ("Steps to prune a rose bush", "How do I prune a rose bush?"),
    ("What's a good way to prune a rose bush?", "What are the steps to prune a rose bush?"),
    ("Can you tell me how I can prune a rose bush?", "How can one prune a rose bush?"),
    ("How does one prune a rose bush?", "I was wondering how I prune a rose bush"),
    ("Is it okay to keep bees in town?", "Can I keep bees in town?"),
    ("Am I allowed to keep bees in town?", "Is it allowed to keep bees in town?"),
    ("Is it necessary to insure a boat?", "Do I have to insure a boat?"),
    ("What is the definition of a fjord?", "What is a fjord?"),
    ("Can a child fly alone?", "Can children fly alone?"),
    ("Is leukaemia a sulphate?", "Is leukemia a sulfate?"),
    ("Could you please put sugar in my tea?", "Can you put sugar in my tea, please?"),
    ("١٢ + ٣", "12 + 3"),
]
REWORDED = [
    ("Dear old dogs, what do they eat?", "Dear old cats, what do they eat?"),
    ("Dear support team, where is my invoice?", "Where is my invoice?"),
    ("Hello again! Which papers do I need?", "Which papers do I need?"),
    ("Hey buddy, how do magnets work?", "How do magnets work?"),
    ("What are the symptoms of flu?", "What is the symptom of flu?"),
    ("Where is readline defined?", "Where is readlines defined?"),
    ("Who is my wife's brother?", "Who is the brother of my wife?"),
    ("Where is the intro?", "Where is the introduction?"),
    ("What is the meaning of glass?", "What is the meaning of glasses?"),
    ("Is custom required?", "Are customs required?"),
    ("How far is it from NYC to Boston?", "How far is it from New York City to Boston?"),
    ("How do I get a job in the UK?", "How do I get a job in the United Kingdom?"),
    ("Convert 5 miles to km", "How many km are 5 miles?"),
    ("What is the boiling point of water?", "At what temperature does water boil?"),
    ("Who is the CEO of Apple?", "Who's Apple's CEO?"),
    ("Where is my order?", "Can you tell me whether you have sent what I ordered?"),
    ("How heavy is a bee?", "What does a bee weigh?"),
    ("What is Peru's second longest river?", "What is the second longest river in Peru?"),
    ("Name Earth's driest place.", "What is the driest place on Earth?"),
    ("What is the max load?", "What is the maximum load?"),
    ("Who is Dr. Mabuse?", "Who is Doctor Mabuse?"),
    ("Where is St. Helena?", "Where is Saint Helena?"),
    ("Dear team, can you list the moons of Mars by size?", "List the moons of Mars by size"),
    ("I need you to sing the first verse of a song", "Sing the first verse of a song"),
    ("Is it wise to swim while tired?", "Is it wise to swim when tired?"),
    ("Can I pay the rent using gift cards?", "Can I pay the rent with gift cards?"),
    ("Sort a column in a Pandas frame", "Sort a Pandas frame column"),
    ("Set an alarm clock for 10 minutes", "Set a 10 minute alarm clock"),
    ("library rules Oslo", "library rules in Oslo"),
    ("What are the causes of the flood?", "What is the cause of the flood?"),
    ("How ripe are bananas?", "How ripe is a banana?"),
    ("By whom was the Odyssey of the poor translated?", "Who translated the Odyssey of the poor?"),
    ("Who is the 16th US judge?", "Who is the sixteenth judge of the United States?"),
]
KINDS = [
    ("What is erosion?", "Why is erosion a problem for farmers?", "one asks what, the other why"),
    (
        "When should I water a cactus?",
        "How should I water a cactus?",
        "one asks how, the other when",
    ),
    ("How do I repot a fern?", "When can I repot a fern?", "one asks how, the other when"),
]
TENSES = [
    ("Has my parcel been delivered?", "Will my parcel be delivered?"),
    ("Was the invoice paid?", "Will the invoice be paid?"),
    ("Has the flight to Oslo landed?", "When will the flight to Oslo land?"),
    ("Where did the band play before?", "Where will the band go on to play next?"),
]


@pytest.mark.parametrize(
    ("new", "stored"),
    [*LITTLE_WORDS, *ONES, *TAKEN_FOR_COURTESY, *CATEGORIES, *SIGNS, *LETTERS, *PLACES],
    ids=lambda text: text[:40],
)
def test_a_small_difference_in_one_frame_is_refused(new, stored):
    assert compare(new, stored).verdict in REFUSED


@pytest.mark.parametrize(("new", "stored", "reason"), KINDS)
def test_another_kind_of_answer_is_another_question_though_no_frame_is_shared(new, stored, reason):
    for found in (compare(new, stored), compare(stored, new)):
        assert (found.verdict, found.reason) == ("another", reason)


def test_a_when_that_asks_for_no_time_is_not_in_the_place_of_how():
    for conditional in ("When using wax, how do I dry boots?", "When I dry boots, I use wax"):
        assert compare("How do I dry boots?", conditional).verdict != "another"


@pytest.mark.parametrize(("new", "stored"), TENSES, ids=lambda text: text[:40])
def test_what_was_and_what_will_be_are_two_questions_whatever_their_wording(new, stored):
    found = compare(new, stored)
    assert found.verdict == "another"
    assert found.reason == "one asks what was, the other what will be" or found.in_frame


@pytest.mark.parametrize(
    ("new", "stored"),
    [
        ("Why aren't all birds able to fly?", "Why are all birds not able to fly?"),
        ("Why did you try not to win?", "Why did you not try to win?"),
        ("Is Peru's river long?", "Is the long river in Chile?"),
        ("How do I clean a car?", "How do I clean a carpet?"),
        ("Is birth painless?", "Is birth pain?"),
        ("How do I bake in a pan?", "How do I bake in a pancake?"),
        ("How do I eat less than 20 a day?", "How do I eat more than 20 a day?"),
        ("Where is my brother's wife?", "Where is my wife's brother?"),
        ("Who is my wife's brother?", "Who is the wife of my brother?"),
        ("Is it safe not to eat before a run?", "Is it not safe to eat before a run?"),
        ("What does x += 1 do?", "What does x =+ 1 do?"),
        ("What does ls -l show?", "What does ls -L show?"),
        ("What will I pay next year, all in all?", "In all of last year, what do I pay?"),
        ("How should schools teach maths?", "How do schools teach maths?"),
        ("Translate: can you list the old towns", "Translate: list the old towns"),
        ("What is in a burger bun?", "What is a burger bun?"),
        ("What are pictures in Rome?", "What are pictures of Rome?"),
        ("What causes fear for children?", "What causes fear of children?"),
        ("What is a tree house?", "What is a house in a tree?"),
        ("Is any mushroom poisonous?", "Is the mushroom poisonous?"),
        ("Who sat by the tall painter?", "Who was the tall painter?"),
        ("Where do I turn on the hot water?", "Where do I turn the hot water?"),
    ],
    ids=lambda text: text[:40],
)
def test_what_looks_like_another_way_of_saying_it_is_refused_where_it_is_not(new, stored):
    assert compare(new, stored).verdict in REFUSED


@pytest.mark.parametrize(("new", "stored"), EQUAL, ids=lambda text: text[:40])
def test_what_never_matters_is_the_same(new, stored):
    assert compare(new, stored).verdict == "same"


@pytest.mark.parametrize(("new", "stored"), REWORDED, ids=lambda text: text[:40])
def test_another_wording_is_left_to_the_similarity(new, stored):
    assert compare(new, stored).verdict == "reworded"


@pytest.mark.parametrize(
    ("new", "stored", "reason"),
    [
        ("flights to Oslo", "flights from Oslo", "'to' is not 'from'"),
        ("What is 17 times 3?", "What is 18 times 3?", "the numbers differ: 17, 3, stored 18, 3"),
        ("Is a < b?", "Is a > b?", "the signs differ: <, stored >"),
        ("Can I eat it raw?", "Can I not eat it raw?", "one of them is negated"),
        ("Where is Oslo?", "Where is Rome?", "the names differ: oslo, stored rome"),
        ("I bake bread", "I bake cakes", "'bread' is not 'cakes'"),
        ("How much is a used car?", "How much is a car?", "only one of them says 'used'"),
        ("Is gold softer than lead?", "Is lead softer than gold?", "in another order: gold, lead"),
    ],
)
def test_a_refusal_names_the_difference(new, stored, reason):
    assert compare(new, stored).reason == reason


def test_the_differences_come_with_their_side():
    found = compare("Is the red car fast?", "Is the blue car very fast?")
    assert found.differing == (("red", "blue"), ("", "very"))
    assert found.shared == pytest.approx(2 * 2 / (3 + 4))


RULES = " ".join(
    f"Rule {n}: the form {n} is filed by office {n + 7} in due time." for n in range(150)
)


@pytest.mark.parametrize(
    ("one", "other"),
    [("must", "may"), ("before", "after"), ("three", "four"), ("his", "her"), ("Oslo", "Rome")],
)
def test_one_small_word_is_seen_in_a_page(one, other):
    text = f"{RULES} Staff in {{}} work on Fridays. {RULES}\n\nWho works on Fridays?"
    assert compare(text.format(one), text.format(other)).verdict in REFUSED
    assert compare(text.format(one), text.format(one).replace("\n\n", "\n")).verdict == "same"


def test_material_after_a_colon_is_never_taken_for_courtesy():
    assert (
        compare("Translate to German: thank you", "Translate to German: please").verdict != "same"
    )
    assert compare("Reply to this: hello", "Reply to this: hi").verdict != "same"


WORDS = (
    "what who when why how many is are the a of in not never isn't without legal illegal one two 2 3rd"
    " third 1,000 half Oslo Rome NASA from to first before after miles open may must can his her bread"
    " bosses ? . : ! * + -1 , thanks 退款 換 कल 😂 C++ é e\u0301 x-ray and or"
).split()
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
ANY = SENTENCES | st.text(st.characters(), max_size=60)


@given(text=ANY)
@settings(max_examples=300, deadline=None)
def test_a_text_is_the_same_as_itself_in_another_case_or_spacing(text):
    assert compare(text, text).verdict == "same"
    assert compare(text, f"  {text}\t").verdict == "same"


@given(one=ANY, other=ANY)
@settings(max_examples=500, deadline=None)
def test_the_verdict_is_one_whichever_was_stored(one, other):
    there, back = compare(one, other), compare(other, one)
    assert there.verdict == back.verdict
    assert there.shared == back.shared
    assert there.differing == tuple((new, stored) for stored, new in back.differing)
    assert 0 <= there.shared <= 1


OPEN = "zorp blick dravid mulon sarph teek vomer quill".split()


@given(st.permutations(OPEN), st.sampled_from("must can may to from his her before after".split()))
def test_in_one_frame_a_word_in_anothers_place_is_refused_whatever_the_words(words, small):
    frame = "the {} of {} {} a {} in {}".format(words[0], words[1], "{}", words[2], words[3])
    assert compare(frame.format(words[4]), frame.format(words[5])).verdict in REFUSED
    assert compare(frame.format(words[4]), frame.format(small)).verdict in REFUSED


@given(st.permutations("must can may should will".split()))
def test_members_of_a_closed_class_refuse_each_other_whatever_their_order(modals):
    one, other = (f"{modal} the tenant paint the door" for modal in modals[:2])
    known = {"can", "may"} == set(modals[:2])
    assert compare(one, other).verdict == ("unsure" if known else "another")


MALFORMED = [
    "",
    "\0",
    "a\0b",
    "\ud800",
    "x \udfff y",
    "😀" * 500,
    "\u202eabc\u202c",
    "[" * 200 + "x" + "]" * 200,
    "{" * 200,
    '{"a": [1, 2, "\\u00',
    "a" * 50_000,
    "'" * 999,
    "-" * 999,
    "\u0301" * 99,
    "１２٣९" * 99,
    "1" * 6_000,
    "one hundred million billion billion billion billion",
    ".5.5.5.5",
    "²³½",
    "!()!=::",
]


@pytest.mark.parametrize("one", MALFORMED, ids=lambda text: ascii(text[:12]))
def test_malformed_text_never_raises_and_equals_only_itself(one):
    for other in MALFORMED:
        assert compare(one, other).verdict in (REFUSED | SERVED)
    assert compare(one, one).verdict == "same"
    assert compare(f"{one} to", f"{one} from").verdict != "same"


def test_a_megabyte_is_refused_at_once_rather_than_read():
    page = "Every line says a little more of the same. " * 25_000
    started = time.thread_time()
    found = compare(page, page + "x")
    assert time.thread_time() - started < 0.5
    assert found.verdict == "unsure"
    assert (
        found.reason == "'a text of 1,075,000 characters' is not 'a text of 1,075,001 characters'"
    )


@pytest.mark.parametrize(
    ("asked", "stated"),
    [
        ("Is that true?", "That is true."),
        ("is my card active", "my card is active"),
        ("Do you sell shoes?", "You do sell shoes."),
        ("Hi! Will it rain tomorrow?", "It will rain tomorrow."),
        ("can I return shoes", "I can return shoes"),
    ],
)
def test_what_one_asks_the_other_does_not_state(asked, stated):
    for one, other in ((asked, stated), (stated, asked)):
        assert compare(one, other).verdict == "another"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The shop is open on Sunday?", "Is the shop open on Sunday?"),
        ("tell me whether the shop is open", "Is the shop open?"),
        ("I want to know if the shop is open", "is the shop open"),
        ("where is the station", "tell me where the station is"),
    ],
)
def test_a_question_is_one_however_it_is_put(one, other):
    assert compare(one, other).verdict == compare(other, one).verdict == "same"
