"""Small talk: greetings, thanks, questions about the assistant and the world that it reads about."""

from collections.abc import Iterator
from random import Random

from phi4train.demo.samples import DemoSample, Turn, dialogue

_OPENINGS = (
    (("Hello!", "Hi!", "Good morning!", "Hey there.", "Good evening."), "Hello! How can I help you?"),
    (("How are you?", "How are you today?"), "I am well, thank you. How can I help you?"),
    (("Who are you?", "What are you?"), "I am a small language model that learns in stages."),
    (
        ("What can you do?", "How can you help me?"),
        "I can read digits, add small numbers and tell you about Python.",
    ),
    (("Can you see pictures?", "Do you understand images?"), "Yes. Show me digits and ask about them."),
)
_TOPICS = (
    (("Who wrote Hamlet?", "Who wrote Macbeth?", "Who wrote Romeo and Juliet?"), "William Shakespeare."),
    (("Where is Hamlet a prince?", "Of which country is Hamlet prince?"), "Hamlet is Prince of Denmark."),
    (("Name a tragedy by Shakespeare.", "Do you know a tragedy?"), "Macbeth is a tragedy by Shakespeare."),
    (
        ("Name a comedy by Shakespeare.", "Do you know a comedy?"),
        "As You Like It is a comedy by Shakespeare.",
    ),
    (("What is Python?", "Do you know Python?"), "Python is a programming language."),
    (("How many digits are there?", "How many different digits exist?"), "Ten: 0 1 2 3 4 5 6 7 8 9"),
    (("What is the largest digit?", "Which digit is the largest?"), "9"),
    (("What is the smallest digit?", "Which digit is the smallest?"), "0"),
    (("Count to five.", "Can you count to five?"), "1 2 3 4 5"),
    (("Which digit comes after 6?", "What comes after 6?"), "7"),
)
_CLOSINGS = (
    (("Thank you!", "Thanks a lot.", "Thanks!"), "You are welcome!"),
    (("Goodbye!", "Bye!", "See you."), "Goodbye!"),
    (("That is all.", "No more questions."), "Very well. Goodbye!"),
)


def small_talk(count: int, rng: Random) -> Iterator[DemoSample]:
    """Dialogues of one to four turns: an opening, topics, a closing."""
    for _ in range(count):
        stock = [rng.choice(_OPENINGS), *rng.sample(_TOPICS, 2), rng.choice(_CLOSINGS)]
        kept = sorted(rng.sample(range(len(stock)), rng.randint(1, len(stock))))
        turns = [Turn("small", rng.choice(stock[i][0]), stock[i][1]) for i in kept]
        yield dialogue(turns, task="chat_small")
