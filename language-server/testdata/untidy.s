# Columns that are not lined up.
COUNT=3
  .text
.globl   untidy
	.type untidy,@function
untidy: mov $COUNT,%ecx# how often
1: lea 8( %rax ,%rcx,4 ),%rdx
	nop
  dec %ecx
jnz 1b;nop
 .ascii "a,b",  "c"   // text
	movl	$COUNT, %eax
call   untidy
a_long_label: .quad 0,1
    .size untidy,.-untidy
 ret
