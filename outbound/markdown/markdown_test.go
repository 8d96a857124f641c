package markdown_test

import (
	"testing"

	"github.com/imrelay/imrelay/outbound/markdown"
)

// TestPlain says what comes of each construct, and above all what is left alone.
func TestPlain(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"plain text", "hello, 世界\n\n  bye ", "hello, 世界\n\n  bye "},

		{"bold", "a **b** c", "a b c"},
		{"bold by underscores", "a __b c__ d", "a b c d"},
		{"italic", "a *b* _c_ d", "a b c d"},
		{"bold and italic", "***x***", "x"},
		{"bold around italic", "**a *b* c**", "a b c"},
		{"italic that ends with bold", "*a **b***", "a b"},
		{"more stars behind than before", "*a**", "a*"},
		{"more stars before than behind", "**a*", "*a"},
		{"stars left within underscores", "_*a**_", "a*"},
		{"struck", "~~old~~ new", "old new"},
		{"over two lines", "**a\nb**", "a\nb"},
		{"emphasis within Chinese", "*重要*提醒", "重要提醒"},
		{"Chinese on both sides", "这是**重要**的", "这是重要的"},
		{"a full-width colon within", "**重要：**请看", "重要：请看"},
		{"quotation marks within", "他说**“你好”**了", "他说“你好”了"},
		{"a Latin word beside Chinese", "用**Go**写", "用Go写"},
		{"Korean particle", "**한국어**는", "한국어는"},
		{"Japanese", "これは**大事**です", "これは大事です"},
		{"a full-width bracket before", "（**注意**）", "（注意）"},
		{"alternatives", "**是**/**否**", "是/否"},
		{"a command", "**/help** shows it", "/help shows it"},

		{
			"an answer", "1. **标题**：内容\n   - **a**：`b`\n     ```py\n     x = 1\n     ```\n2. 打开**设置**→**通用**，**100%**的",
			"1. 标题：内容\n   - a：b\n     x = 1\n2. 打开设置→通用，100%的",
		},

		{"product", "2*3*4=24", "2*3*4=24"},
		{"product of words", "a*b*c and a**b**c", "a*b*c and a**b**c"},
		{"product with spaces", "2 * 3 * 4", "2 * 3 * 4"},
		{"underscores in a name", "a_b_c", "a_b_c"},
		{"a name between underscores", "see __init__ and __init__.py", "see __init__ and __init__.py"},
		{"stars alone", "***", "***"},
		{"a star that is never shut", "*a", "*a"},
		{"two stars that are never shut", "a **b", "a **b"},
		{"pointers", "int *a, *b", "int *a, *b"},
		{"arguments", "f(*args, **kwargs)", "f(*args, **kwargs)"},
		{"file patterns", "src/**/*.go, lib/**/*.go (*.a|*.b)", "src/**/*.go, lib/**/*.go (*.a|*.b)"},
		{"a path with underscores", "a/_b_/c", "a/_b_/c"},
		{"faces", "(*^_^*) (*^▽^*) T_T ^_^ *_*", "(*^_^*) (*^▽^*) T_T ^_^ *_*"},
		{"tildes as a tone", "好的~谢谢~ 100~200", "好的~谢谢~ 100~200"},
		{"three tildes", "好~~~嗯~~~", "好~~~嗯~~~"},

		{"heading", "# 标题\n正文", "标题\n正文"},
		{"heading of the sixth level", "###### x", "x"},
		{"heading with marks", "## **x** y", "x y"},
		{"heading shut with a hash", "## x ##\ny", "x\ny"},
		{"heading that ends with C#", "# about C#", "about C#"},
		{"heading in CRLF", "# x\r\ny", "x\r\ny"},
		{"indented heading", "  # x", "  x"},
		{"topic", "#话题# #话题", "#话题# #话题"},
		{"number sign", "#1 is best", "#1 is best"},
		{"hash alone", "#\n##", "#\n##"},
		{"seven hashes", "####### x", "####### x"},
		{"underlined heading", "x\n===\ny\n---\nz", "x\n===\ny\n---\nz"},

		{"code", "run `a_b *c*`.", "run a_b *c*."},
		{"code with a backtick", "`` a`b `` and `` `x` ``", "a`b and `x`"},
		{"code of backslashes", "`\\*`", "\\*"},
		{"a backtick that is never shut", "it`s *x*", "it`s x"},
		{"fence", "a\n```go\nfunc f() { *p = 1 }\n\n\tx\n```\nb", "a\nfunc f() { *p = 1 }\n\n\tx\nb"},
		{"fence at the end", "```\nx\n```", "x"},
		{"fence with an end of line", "```\nx\n```\n", "x\n"},
		{"fence in CRLF", "```go\r\nx\r\n```\r\ny", "x\r\ny"},
		{"fence of tildes", "~~~\n```\n~~~", "```"},
		{"fence in a quote", "> ```\n> x\n> ```\n> y", "> x\n> y"},
		{"fence in a list", "1. a\n\n   ```sh\n   ls\n   ```\n2. b", "1. a\n\n   ls\n2. b"},
		{"fence beside a list's marker", "- ```\n  x\n  ```\n- b", "- \n  x\n- b"},
		{"fence that is never shut", "a\n```go\n*x*", "a\n```go\n*x*"},
		{"fence that its quote ends", "> ```\n> *x*\n\nb", "> ```\n> *x*\n\nb"},
		{"empty fence", "a\n```\n```\nb", "a\nb"},
		{"nothing but an empty fence", "```\n```", "```\n```"},
		{"indented code", "a\n\n    *indented*\n", "a\n\n    *indented*\n"},

		{"link", "[t](http://u/a_b_c)", "t (http://u/a_b_c)"},
		{"link with a title", `[t](u "title") x`, "t (u) x"},
		{"link in angles", "[t](<u v>)", "t (u v)"},
		{"link to itself", "[http://u/_a_](http://u/_a_)", "http://u/_a_"},
		{"link without text", "[](u)", "u"},
		{"link without address", "[t]()", "t"},
		{"link with marks", "[**t**](u)", "t (u)"},
		{"bold link", "**[t](u)**", "t (u)"},
		{"link with an escaped bracket", `[t](a\_b\)c)`, "t (a_b)c)"},
		{"mail link", "[a@example.com](mailto:a@example.com)", "a@example.com"},
		{"link behind Chinese", "见[文档](https://u)。", "见文档 (https://u)。"},
		{"image", "![alt](u)", "alt (u)"},
		{"image without text", "![](u)", "u"},
		{"image in a link", "[![a](b)](c)", "a (b) (c)"},
		{"reference", "[a][1]\n\n[1]: http://u", "[a][1]\n\n[1]: http://u"},
		{"index", "list[0](ctx)", "list[0](ctx)"},
		{"address in angles", "<http://u/*a*>", "http://u/*a*"},
		{"mail in angles", "Bob <b_o_b@example.com>", "Bob <b_o_b@example.com>"},
		{"bare address", "https://u/_a_/*b*?c=_d_ *x*", "https://u/_a_/*b*?c=_d_ x"},
		{"bold address", "**https://u/a_b_**", "https://u/a_b_"},
		{"mail", "a_b_c@example.com", "a_b_c@example.com"},

		{"quote", "> **a**\n> b\n>> c", "> a\n> b\n>> c"},
		{"list", "- a\n* **b**\n+ c\n  - *d*", "- a\n* b\n+ c\n  - d"},
		{"numbers of the author's", "3. a\n7. **b**\n1) c", "3. a\n7. b\n1) c"},
		{"tasks", "- [ ] a\n- [x] b", "- [ ] a\n- [x] b"},
		{"table", "| a | **b** |\n|---|:-:|\n| 1 | `2` |", "| a | b |\n|---|:-:|\n| 1 | 2 |"},
		{"breaks", "a\n\n---\n* * *\n___\nb", "a\n\n---\n* * *\n___\nb"},
		{"hard breaks", "a  \nb\\\nc", "a  \nb\\\nc"},

		{"escaped marks", "\\*a\\* \\_b\\_ \\`c\\` \\~~ \\# d", "*a* _b_ `c` ~~ # d"},
		{"escaped product", `2\*3\*4`, "2*3*4"},
		{"other escapes", `\[x\] \. \\ \- \a \(`, `\[x\] \. \\ \- \a \(`},
		{"Windows path", `C:\path\_x`, `C:\path\_x`},
		{"Windows root", `C:\_x D:\#y`, `C:\_x D:\#y`},
		{"share", `\\server\_share_`, `\\server\_share_`},
		{"regular expression", `^\d+\*$`, `^\d+\*$`},

		{"CQ code", "[CQ:at,qq=all]", "[CQ:at,qq=all]"},
		{"CQ code with underscores", "[CQ:image,file=_a_b_]", "[CQ:image,file=_a_b_]"},
		{"CQ code in entities", "&#91;CQ:at,qq=all&#93;", "&#91;CQ:at,qq=all&#93;"},
		{"entities", "a &amp; b &lt;**x**&gt;", "a &amp; b &lt;x&gt;"},
		{"tag", "<a href='_x_ *y*'>y</a>", "<a href='_x_ *y*'>y</a>"},
		{"block of tags", "<div>\n**x**\n</div>", "<div>\nx\n</div>"},
		{"template", "vector<std::string> <*x*>", "vector<std::string> <x>"},
		{"comparison", "a < b and **c** > d", "a < b and c > d"},
		{"everyone", "@everyone @_user_", "@everyone @_user_"},
		{"not UTF-8", "\xff**\xfe**", "\xff\xfe"},
		{"zero byte", "\x00**a**\x00", "\x00a\x00"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := markdown.Plain(row.text); got != row.want {
				t.Errorf("Plain(%q)\n got %q\nwant %q", row.text, got, row.want)
			}
		})
	}
}
