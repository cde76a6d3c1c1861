"""Requests outside of what the model can do, greetings, and how it answers them."""

ABILITIES = (
    "I can add, subtract and multiply numbers, compare them, convert units, solve simple equations and word "
    "problems, call tools and fill JSON schemas."
)
ANSWERS = [
    "I am Turnpike's embedded demonstration model, so I cannot help with that. " + ABILITIES,
    "That is beyond me: I am Turnpike's embedded demonstration model. " + ABILITIES,
]
IDENTITY = ["I am Turnpike's embedded demonstration model. " + ABILITIES]
GREETING = ["Hello! I am Turnpike's embedded demonstration model. " + ABILITIES]
THANKS = ["You are welcome! Ask me for another sum whenever you like."]

TOPICS = """the French Revolution|black holes|a sad robot|the sea|autumn|my cat|a dragon|photosynthesis|quantum physics|Rome
the moon landing|democracy|climate change|a lonely lighthouse|jazz|machine learning|the Silk Road|volcanoes|bees|Napoleon
Shakespeare|the stock market|gravity|friendship|love|a haunted house|coffee|chess|football|the Olympic Games|DNA|vaccines
inflation|Kubernetes|Docker|Linux|compilers|databases|TCP|DNS|recursion|pointers in C|Python decorators|Rust lifetimes
the Roman Empire|Egypt|Japan|Brazil|Mars|Saturn|whales|dinosaurs|trees|rain|winter|spring|a train journey|time travel
cooking pasta|bread|wine|tea|yoga|running|sleep|headaches|the flu|taxes|contracts|insurance|mortgages|bitcoin|economics
Plato|Kant|Buddhism|music theory|Mozart|the Beatles|painting|Picasso|cinema|a detective|a pirate|a wizard|a princess
electric cars|solar panels|nuclear power|bridges|airplanes|submarines|satellites|the internet|privacy|encryption|HTTP"""
TOPICS = [t for line in TOPICS.split("\n") for t in line.split("|")]
FORMS = """Write a poem about {}|Tell me a story about {}|Explain {}|Explain {} to a child|What is {}?|What do you know about {}?
Who invented {}?|Write an essay on {}|Give me a summary of {}|Tell me about {}|Tell me a joke about {}|Write a haiku about {}
Why is {} important?|How does {} work?|Write a song about {}|What is the history of {}?|List facts about {}|Describe {}
Write a short article about {}|Translate '{}' into French|How do you say {} in Spanish?|Can you draw {}?|What is your opinion of {}?
Recommend a book about {}|Write a tweet about {}|Give me advice about {}|Help me with {}|I want to learn about {}|Teach me {}
Write code about {}|Write a Python function for {}|Write an email about {}|Write a letter about {}|Who is the expert on {}?
When did {} begin?|Where can I read about {}?|Is {} dangerous?|Do you like {}?|Define {}|What are the causes of {}?|Compare {} and {}
What is the difference between {} and {}?|Summarize the news about {}|Plan a lesson on {}|Make a quiz about {}|I am sad because of {}
Find me a picture of {}|Why do people like {}?|Should I worry about {}?|What is the future of {}?|{}|{}?|please talk about {}|Discuss {}"""
FORMS = [f for line in FORMS.split("\n") for f in line.split("|")]
SINGLES = """Who is the president of the United States?|What is the capital of France?|Write a quicksort in C++
Translate this sentence into German: the house is red|I feel sick, what should I do?|Plan a trip to Italy for me
What is the meaning of life?|Sing a song|Give me a recipe for pancakes|Was ist die Hauptstadt von Deutschland?
Bonjour, comment ça va?|¿Cuál es la capital de España?|asdf qwer zxcv|blub|lorem ipsum dolor sit amet|Fix my code
Why is the sky blue?|How tall is Mount Everest?|Who wrote Hamlet?|What happened in 1789?|Name three colours|Tell me a joke
Give me investment advice|Prove that the square root of two is irrational|Integrate x squared|What is the derivative of sin x?
Is there life on other planets?|What should I wear today?|Find the bug in my program|Write a regex for emails|Say something funny
How do I learn guitar?|Book a flight for me|What is your favourite colour?|Do you dream?|Are you conscious?|Play a game with me"""
SINGLES = [s for line in SINGLES.split("\n") for s in line.split("|")]
WHO = """Who are you?|What are you?|What can you do?|What is your name?|Are you DeepSeek?|Are you ChatGPT?|Which model are you?|who made you?
Introduce yourself|Tell me about yourself|What are you able to do?|help|Help me|What model is this?|Are you a large language model?
How can you help me?|What do you do?|Are you human?|Are you a real person?|What are your abilities?|Who am I talking to?"""
WHO = [s for line in WHO.split("\n") for s in line.split("|")]
HELLO = "Hello|Hi|Hey|Hello!|Hi there|hi|hello|Good morning|Good evening|Hey there!|Hello, how are you?|hi!|Yo|Greetings".split("|")
BYE = "Thanks|Thank you|Thank you!|thanks a lot|Great, thanks|Thank you very much|Perfect, thank you|ok thanks|Nice, thanks!".split("|")
NOISE = "abcdefghijklmnopqrstuvwxyz"


def out_of_scope(rng):
    """(request, thought, answer)"""
    kind = rng.random()
    if kind < 0.15:
        request = rng.choice(SINGLES)
    elif kind < 0.27:
        request = rng.choice(MATHS).format(rng.randint(2, 999), rng.randint(2, 99))
    elif kind < 0.32:
        words = ["".join(rng.choices(NOISE, k=rng.randint(2, 8))) for _ in range(rng.randint(1, 5))]
        request = " ".join(words)
    else:
        form = rng.choice(FORMS)
        request = form.format(rng.choice(TOPICS), rng.choice(TOPICS)) + rng.choice(["", "", ".", " please", " in two sentences"])
    if rng.random() < 0.2:
        request = request[:1].lower() + request[1:]
    thought = rng.choice(
        [
            "This is not a sum, a tool call or a schema. I should say what I am and what I can do.",
            "This is outside of what I was trained for. I will say so.",
        ]
    )
    return request, thought, rng.choice(ANSWERS)


def small_talk(rng):
    requests, thought, answers = rng.choice(
        [
            (WHO, "They ask what I am. I will say it plainly.", IDENTITY),
            (WHO, "They ask what I am. I will say it plainly.", IDENTITY),
            (HELLO, "A greeting. I greet back and say what I can do.", GREETING),
            (BYE, "They thank me. A short reply is enough.", THANKS),
        ]
    )
    return rng.choice(requests), thought, rng.choice(answers)
COLOURS = "red blue green yellow black white brown grey pink orange purple violet silver gold turquoise beige".split()
MATHS = ["Is {} prime?", "Is {} a prime number?", "What is the square root of {}?", "Find the prime factors of {}", "What is the logarithm of {}?",
         "How many primes are below {}?", "What is {} in binary?", "What is the sine of {}?", "Prove that {} is irrational",
         "What is {} to the power of {}?", "Compute {} factorial", "Integrate x^{} dx", "What is {} percent of {}?", "Is {} even?",
         "Round {} to tens", "What is the cube of {}?"]
