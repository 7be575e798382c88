"""TBEL's grammar, for Lark's LALR parser with its contextual lexer.

The contextual lexer knows which tokens can stand at a place, so that words such as `default` or `contains` are plain
names after a dot and before the colon of a map's entry. A `{` at the beginning of a statement opens a block, as in
MVEL; everywhere else it opens a map. Words of MVEL and JavaScript that are not supported have tokens of their own, so
that the parser can name them.
"""

from typing import Final

GRAMMAR: Final = r"""
program: body

?body: items
items: item* [simple]

?item: compound
     | simple ";"      -> terminated
     | ";"             -> nothing

?compound: block | if_ | for_ | foreach | while_ | until | do_ | switch | function

block.2: "{" "}" | "{" items "}"
if_: IF "(" expression ")" embedded [ELSE embedded]
?embedded: compound | simple ";" -> terminated | ";" -> nothing
while_: WHILE "(" expression ")" embedded
until: UNTIL "(" expression ")" embedded
do_: DO block WHILE "(" expression ")" -> do_while
   | DO block UNTIL "(" expression ")" -> do_until
for_: FOR "(" [for_first] ";" [expression] ";" [expressions] ")" embedded
?for_first: declaration | expressions
expressions: expression ("," expression)*
foreach: (FOREACH | FOR) "(" [VAR | type_name] name ":" expression ")" embedded
switch: SWITCH "(" expression ")" "{" case* "}"
case: CASE expression ":" items   -> case
    | DEFAULT ":" items           -> default
function: FUNCTION name "(" [parameters] ")" "{" items "}"
parameters: parameter ("," parameter)*
?parameter: [type_name] name
type_name: TYPE | NAME

?simple: declaration
       | return_
       | BREAK       -> break_
       | CONTINUE    -> continue_
       | expression  -> expression_statement
return_: RETURN [expression]
declaration: VAR declarator ("," declarator)*
           | type_name declarator ("," declarator)* -> typed_declaration
declarator: name ["=" expression]

?expression: conditional
           | postfix "=" expression            -> assign
           | postfix COMPOUND_ASSIGN expression -> assign_operation
?conditional: chor
            | chor "?" expression ":" expression -> conditional
?chor: or_ | chor OR_WORD or_       -> choice
?or_: and_ | or_ "||" and_          -> or_operation
?and_: bit_or | and_ ("&&" | AND_WORD) bit_or -> and_operation
?bit_or: bit_xor | bit_or BIT_OR bit_xor -> binary
?bit_xor: bit_and | bit_xor BIT_XOR bit_and -> binary
?bit_and: equality | bit_and BIT_AND equality -> binary
?equality: relation | equality EQUALITY relation -> binary
?relation: shift
         | relation RELATION shift -> binary
         | relation INSTANCEOF class_name -> instance_of
         | relation IS class_name -> instance_of
?shift: sum | shift SHIFT sum -> binary
?sum: product | sum SUM product -> binary
?product: power | product PRODUCT power -> binary
?power: word | power POWER word -> binary
?word: unary
     | word CONTAINS unary -> binary
     | word MATCHES unary -> binary
     | word UNSUPPORTED_OPERATOR unary -> binary
?unary: postfix
      | SUM unary -> sign
      | "!" unary -> not_
      | "~" unary -> bit_not
      | STEP unary -> step_before
      | "(" TYPE ")" unary -> cast
?postfix: primary
        | postfix STEP -> step_after
?primary: name -> variable
        | "(" expression ")"
        | NUMBER -> number
        | STRING -> string
        | TRUE -> true
        | FALSE -> false
        | NULL -> null
        | UNSUPPORTED -> variable
        | list_literal | map_literal
        | primary "." NAME -> property
        | primary ".?" NAME -> safe_property
        | primary "[" expression "]" -> index
        | primary "." NAME "(" [arguments] ")" -> method
        | primary ".?" NAME "(" [arguments] ")" -> safe_method
        | TYPE -> variable
        | name "(" [arguments] ")" -> call
        | NEW class_name "(" [arguments] ")" -> new
        | NEW TYPE "[" expression "]" -> new_array
        | NEW TYPE "[" "]" "{" [arguments] "}" -> new_array_of
        | FUNCTION "(" [parameters] ")" "{" items "}" -> lambda_
class_name: (NAME | TYPE) ("." NAME)*
arguments: expression ("," expression)*
list_literal: "[" [expression ("," expression)* [","]] "]"
    | "[" entry ("," entry)* [","] "]" -> bracket_map
    | "[" ":" "]" -> empty_map
entry: expression ":" expression
map_literal: "{" [pair ("," pair)* [","]] "}"
pair: key ":" expression
key: NAME | STRING | NUMBER
name: NAME

IF: "if"
ELSE: "else"
FOR: "for"
FOREACH: "foreach"
WHILE: "while"
UNTIL: "until"
DO: "do"
SWITCH: "switch"
CASE: "case"
DEFAULT: "default"
FUNCTION.2: /(?:function|def)(?![\w$])/
VAR: "var"
RETURN: "return"
BREAK: "break"
CONTINUE: "continue"
NEW: "new"
TRUE: "true"
FALSE: "false"
NULL.2: /(?:null|nil)(?![\w$])/
UNSUPPORTED.2: /(?:import|import_static|try|catch|throw|with|isdef|assert|proto|empty|let|const|class|typeof)(?![\w$])/
        | /(?:delete|async|await)(?![\w$])/
UNSUPPORTED_OPERATOR.2: /(?:in|soundslike|strsim|convertable_to)(?![\w$])|#/
INSTANCEOF: "instanceof"
IS: "is"
CONTAINS: "contains"
AND_WORD: "and"
OR_WORD: "or"
TYPE.2: /(?:int|long|float|double|boolean|byte|short|char|Integer|Long|Float|Double|Boolean)(?![\w$])/
      | /(?:Byte|Short|Character|String|Object)(?![\w$])/
NAME: /[^\W\d][\w$]*|\$[\w$]*/
NUMBER: /(?:0[xX][0-9a-fA-F]+[lL]?|(?:[0-9]+\.[0-9]+|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?[lLfFdDBI]?)(?![\w$])/
STRING: /"(?:[^"\\\n\r]|\\[^\n\r])*"|'(?:[^'\\\n\r]|\\[^\n\r])*'/

COMPOUND_ASSIGN: ">>>=" | ">>=" | "<<=" | "+=" | "-=" | "*=" | "/=" | "%=" | "&=" | "|=" | "^="
EQUALITY: "===" | "!==" | "==" | "!="
SHIFT: "<<" | ">>>" | ">>"
RELATION: "<=" | ">=" | "<" | ">"
STEP: "++" | "--"
SUM: "+" | "-"
POWER: "**"
PRODUCT: "*" | "/" | "%"
BIT_OR: "|"
BIT_XOR: "^"
BIT_AND: "&"
MATCHES: "~="

COMMENT: /\/\/[^\n\r]*|\/\*(?:[^*]|\*(?!\/))*\*\//
WHITESPACE: /[ \t\f\r\n\ufeff\u00a0]+/
%ignore COMMENT
%ignore WHITESPACE
"""
