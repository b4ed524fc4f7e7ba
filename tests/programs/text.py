"""A few paragraphs for the programs that read text; the text is nobody's but this project's."""

PROSE = """
the lamp of the harbour burns through the night and the boats come home by its light .
when the wind is from the north the boats stay in the harbour and the nets are mended .
an old man keeps the lamp . he fills it with oil at dusk and trims the wick at midnight .
the old man has a cat , and the cat has the whole of the stairs for herself .
in winter the nights are long and the oil is dear , but the lamp burns through the night .
one night the wind was so strong that the lamp went out , and the old man climbed the stairs .
he climbed slowly , for there are two hundred stairs , and the cat climbed before him .
at the top he found the window open and the oil spilled , and the night was black as the sea .
he closed the window , filled the lamp with oil and trimmed the wick , and it burned again .
the boats came home by its light , and nobody knew that the lamp of the harbour had been dark .
in summer the nights are short , and the old man mends the nets with the others .
the children ask him for the story of the night when the lamp went out , and he tells it slowly .
the cat sleeps on the stairs and does not listen , for she was there and knows how it ends .
""".strip()
